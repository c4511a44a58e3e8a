"""A published model learns something here, and is published again."""

import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import tokenizers

from bigmodel_jax import apply
from bigmodel_jax.applied.base import load_answers
from bigmodel_jax.data.readers import synthetic_articles
from bigmodel_jax.generation.sampling import Sampling
from bigmodel_jax.generation.writer import load_writer
from bigmodel_jax.hub.exporting import publish
from bigmodel_jax.hub.importing import bring
from bigmodel_jax.merge import merge
from bigmodel_jax.train import train
from configs import chat, finetune_text, summarize
from tests.hub.test_texts import LINES, published

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def learnt(config, source, folder, data_dir, evals=None):
    config.init_from.path = str(source)
    config = {**config.to_dict(), "early_stopping": {}, "duration": "6 steps", "evals": evals or {}}
    train(config, str(folder), data_dir=data_dir)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("how", ["full", "head", "lora"])
def test_a_published_encoder_is_finetuned_and_published_again(how, tmp_path, data_dir):
    published(tmp_path / "theirs", "bert", "BertForPreTraining")
    bring(tmp_path / "theirs", str(tmp_path / "run"), "BertModel")
    config = finetune_text.get_config(f"tiny,how={how}")
    made = learnt(config, tmp_path / "run", tmp_path / "finetuned", data_dir)
    if how == "lora":
        merge(str(made), str(tmp_path / "merged"))
        made = tmp_path / "merged"
    publish(str(made), str(tmp_path / "ours"))
    peer = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "ours").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    with torch.no_grad():
        want = peer(**tokenizer(LINES, padding=True, return_tensors="pt")).logits.softmax(-1)
    with apply.load_run(made) as run:
        got = run.predict(LINES)
        names = run.label_names
    np.testing.assert_allclose(got, want.numpy(), atol=1e-5)
    assert [peer.config.id2label[i] for i in range(len(names))] == list(names)


def llama(folder):
    """A Llama with random parameters and a tokenizer in Llama 3's manner, saved in `folder`."""
    special = ["<|begin_of_text|>", "<|end_of_text|>"]
    made = tokenizers.ByteLevelBPETokenizer()
    made.train_from_iterator(LINES, vocab_size=320, special_tokens=special, show_progress=False)
    made._tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made._tokenizer, bos_token=special[0], eos_token=special[1]
    )
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM
    model(model.config_class(vocab_size=len(tokenizer), **sizes, **heads)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.slow
def test_a_published_decoder_learns_to_answer_and_is_published_again(tmp_path, data_dir):
    llama(tmp_path / "theirs")
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    config = chat.get_config("tiny,how=lora")
    config.data.length = 64
    made = learnt(config, tmp_path / "run", tmp_path / "chat", data_dir)
    merge(str(made), str(tmp_path / "merged"))
    publish(str(tmp_path / "merged"), str(tmp_path / "ours"))
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    prompt = tokenizer(LINES[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        want = peer.generate(prompt, max_new_tokens=10, do_sample=False)[0, prompt.shape[1] :]
    with load_writer(tmp_path / "merged", Sampling(temperature=0.0)) as writer:
        assert writer._ids([LINES[0]]) == prompt.tolist()
        text = writer.write([LINES[0]], 10)[0]
    assert text == tokenizer.decode(want, skip_special_tokens=True)


def t5(folder):
    """A T5 with random parameters and a Unigram tokenizer as T5 has it, saved in `folder`."""
    special = ["<pad>", "</s>", "<unk>"]
    made = tokenizers.Tokenizer(tokenizers.models.Unigram())
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    news = [f"summarize: {x['article']} {x['highlights']}" for x in articles().examples("train")]
    made.train_from_iterator(news, trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    names = dict(zip(("pad_token", "eos_token", "unk_token"), special, strict=True))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names)
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    torch.manual_seed(0)
    model = transformers.T5ForConditionalGeneration
    peer = model(model.config_class(vocab_size=len(tokenizer), decoder_start_token_id=0, **sizes))
    peer.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def articles():
    return synthetic_articles.Reader(train_size=320, test_size=32)


@pytest.mark.slow  # two programs of an encoder-decoder, and a search, on eight devices
@pytest.mark.parametrize("how", ["full", "lora"])
def test_a_published_t5_learns_to_summarise_and_is_published_again(how, tmp_path, data_dir):
    t5(tmp_path / "theirs")
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    config = summarize.get_config(f"tiny,how={how}")
    config.optimizer.update(lr=3e-2, schedule=dict(name="constant"))
    evals = {"test": {**config.evals.test.to_dict(), "split": "test[:4]"}}
    made = learnt(config, tmp_path / "run", tmp_path / "learnt", data_dir, evals)
    texts = [x["article"] for x in articles().examples("test", range(4))]
    want = json.loads((made / "results" / "test.json").read_text())["answers"]
    if how == "lora":
        merge(str(made), str(tmp_path / "merged"))
        made = tmp_path / "merged"
    with load_answers(made) as run:
        assert [x.answer for x in run.answers(texts)] == want and any(want)
    publish(str(made), str(tmp_path / "ours"))
    _, found = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(found.values())
