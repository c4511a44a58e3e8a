"""From text to answer with a published model: the tokens and the numbers that `transformers` has."""

import gzip
import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import tokenizers

from bigmodel_jax import apply
from bigmodel_jax.applied.base import load_answers
from bigmodel_jax.data.tokenizers import raw
from bigmodel_jax.generation.sampling import Sampling
from bigmodel_jax.generation.writer import load_writer
from bigmodel_jax.hub.importing import bring

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LINES = [
    "The film was fine, and the ending finer.",
    "Dull!  A waste of an evening – naïve, too.",
    "She sells sea-shells;\the buys none...",
    "",
    "Ünïcode ☃ 漢字 and e\u0301 combine.",
]
SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 130,
}


def wordpiece():
    made = tokenizers.BertWordPieceTokenizer()
    made.train_from_iterator(LINES * 3, vocab_size=150, min_frequency=1, show_progress=False)
    ids = [(name, made.token_to_id(name)) for name in ("[SEP]", "[CLS]")]
    made._tokenizer.post_processor = tokenizers.processors.BertProcessing(*ids)
    special = {"unk": "[UNK]", "sep": "[SEP]", "cls": "[CLS]", "pad": "[PAD]", "mask": "[MASK]"}
    return made._tokenizer, special


def bytes_of_roberta():
    made = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made.train_from_iterator(LINES, vocab_size=320, special_tokens=special, show_progress=False)
    made._tokenizer.post_processor = tokenizers.processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0)
    )
    names = {"unk": "<unk>", "sep": "</s>", "cls": "<s>", "pad": "<pad>", "mask": "<mask>"}
    return made._tokenizer, names


MAKERS = {"bert": wordpiece, "roberta": bytes_of_roberta}


def published(folder, kind, name, **settings):
    """(their model, their tokenizer), saved in `folder`."""
    made, special = MAKERS[kind]()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, **{f"{key}_token": value for key, value in special.items()}
    )
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    one_type = {"type_vocab_size": 1} if kind == "roberta" else {}
    settings = {**SMALL, **one_type, "vocab_size": len(tokenizer) + 3, **settings}
    model = getattr(transformers, name)
    torch.manual_seed(0)
    peer = model(model.config_class(pad_token_id=tokenizer.pad_token_id, **settings)).eval()
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    peer.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return peer, tokenizer


def their_logits(peer, tokenizer, *texts):
    given = tokenizer(
        *map(list, texts), padding=True, truncation=True, max_length=16, return_tensors="pt"
    )
    if peer.config.model_type == "roberta":
        given["token_type_ids"] = torch.zeros_like(given["input_ids"])
    with torch.no_grad():
        return peer(**given).logits


def short(run):
    """Its config asks for rows of 16 tokens, so that texts are cut."""
    path = run / "config.json"
    config = json.loads(path.read_text())
    config["data"]["max_length"] = 16
    path.write_text(json.dumps(config))


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("pairs", [False, True])
def test_a_published_classifier_answers_as_theirs_does(kind, pairs, tmp_path):
    name = {"bert": "Bert", "roberta": "Roberta"}[kind] + "ForSequenceClassification"
    labels = {0: "bad", 1: "good", 2: "neither"}
    peer, tokenizer = published(tmp_path / "theirs", kind, name, id2label=labels, num_labels=3)
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    short(tmp_path / "run")
    second = [LINES[2], LINES[0], "", LINES[1], LINES[4]]
    if pairs:
        config = json.loads((tmp_path / "run" / "config.json").read_text())
        config["data"]["reader"] = {"pair_column": "pair"}
        (tmp_path / "run" / "config.json").write_text(json.dumps(config))
        texts = list(zip(LINES, second, strict=True))
        want = their_logits(peer, tokenizer, LINES, second).softmax(-1)
    else:
        texts, want = LINES, their_logits(peer, tokenizer, LINES).softmax(-1)
    with apply.load_run(tmp_path / "run") as run:
        assert run.label_names == ("bad", "good", "neither")
        got = run.predict(texts)
    np.testing.assert_allclose(got, want.numpy(), rtol=2e-4, atol=1e-5)


def test_a_published_model_fills_the_mask_as_theirs_does(tmp_path):
    peer, tokenizer = published(tmp_path / "theirs", "bert", "BertForMaskedLM")
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    text = "The [MASK] was fine, and the ending finer."
    given = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        logits = peer(**given).logits[0]
    place = given["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    known = logits[place].softmax(-1)[: len(tokenizer)]
    with load_answers(tmp_path / "run") as run:
        (found,) = run.answers([text])[0].masks
    want = known.topk(5)
    assert [token for token, _ in found] == tokenizer.convert_ids_to_tokens(want.indices.tolist())
    np.testing.assert_allclose([p for _, p in found], want.values.numpy(), rtol=2e-4)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_published_reader_answers_from_the_windows_that_transformers_cuts(kind, tmp_path):
    name = {"bert": "Bert", "roberta": "Roberta"}[kind] + "ForQuestionAnswering"
    peer, tokenizer = published(tmp_path / "theirs", kind, name)
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    path, step, most = tmp_path / "run" / "config.json", 5, 30
    config = json.loads(path.read_text())
    config["data"] |= {"max_length": 24, "stride": step, "max_question": 12}
    path.write_text(json.dumps(config))
    texts = [("What sells she?", " ".join(LINES)), ("Fine?", LINES[0]), ("Dull?", LINES[4])]
    with load_answers(tmp_path / "run") as run:
        answers = run.answers(texts)
    for (question, context), answer in zip(texts, answers, strict=True):
        asked = tokenizer(question, add_special_tokens=False)["input_ids"]
        assert len(asked) <= 12
        room = 24 - len(asked) - {"bert": 3, "roberta": 4}[kind]
        given = tokenizer(
            question, context, truncation="only_second", max_length=24, stride=room - step,
            return_overflowing_tokens=True, return_offsets_mapping=True, padding=True,
            return_tensors="pt",
        )  # fmt: skip
        types = given["token_type_ids"] * (kind == "bert")
        inputs = {key: given[key] for key in ("input_ids", "attention_mask")}
        with torch.no_grad():
            out = peer(**inputs, token_type_ids=types)
        spans, nulls = [], []
        for row, (start, end) in enumerate(zip(out.start_logits, out.end_logits, strict=True)):
            inside = [i for i, of in enumerate(given.sequence_ids(row)) if of == 1]
            nulls.append(float(start[0] + end[0]))
            spans += [
                (float(start[i] + end[j]), row, i, j)
                for i in inside
                for j in inside
                if i <= j < i + most
            ]
        score, row, i, j = max(spans)
        offsets = given["offset_mapping"][row]
        want = context[int(offsets[i][0]) : int(offsets[j][1])]
        assert answer.span.of(context) == want.strip()
        assert answer.span.score == pytest.approx(score, abs=1e-3)
        assert answer.span.null == pytest.approx(min(nulls), abs=1e-3)


def publish(peer, folder):
    """A decoder with a tokenizer of 61 words, published in folder/theirs, imported in folder/run."""
    peer.save_pretrained(folder / "theirs")
    vocabulary = {f"t{i}": i for i in range(61)}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="t0"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.save(str(folder / "theirs" / "tokenizer.json"))
    bring(folder / "theirs", str(folder / "run"))


@pytest.mark.parametrize("beams", [0, 3])
def test_a_published_decoder_writes_what_theirs_writes(beams, tmp_path):
    from tests.hub.test_parity import peer_of

    peer = peer_of("qwen2-windows")
    publish(peer, tmp_path)
    prompt = [5, 17, 3, 3, 40, 8, 9]
    options = {"num_beams": beams, "early_stopping": "never"} if beams else {}
    with torch.no_grad():
        want = peer.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, pad_token_id=0, **options
        )[0, len(prompt) :].tolist()
    with load_writer(tmp_path / "run", Sampling(temperature=0.0)) as writer:
        if beams:
            got = writer.decoder.search([prompt], 12, beams)[0]
        else:
            got = [x for part in writer.decoder.write([prompt], 12) for x in part[0]]
    assert got == want


def test_a_published_decoder_stops_at_each_end_that_its_files_name(tmp_path):
    from tests.hub.test_parity import peer_of

    peer = peer_of("qwen2-windows")
    with torch.no_grad():
        freely = peer.generate(torch.tensor([[5, 17, 3]]), max_new_tokens=8, do_sample=False)[0, 3:]
    end = freely[3].item()
    peer.generation_config.eos_token_id = [60, end]  # as a chat model's: of a text, of a turn
    publish(peer, tmp_path)
    with load_writer(tmp_path / "run", Sampling(temperature=0.0)) as writer:
        got = [x for part in writer.decoder.write([[5, 17, 3]], 8) for x in part[0]]
    assert got == freely[: freely.tolist().index(end) + 1].tolist()


def odd(count):
    """Texts of any characters, some of which no keyboard has."""
    rng = np.random.default_rng(0)
    ranges = [(1, 127), (160, 0x250), (0x300, 0x36F), (0x4E00, 0x9FFF), (0x1F300, 0x1FAFF)]
    for _ in range(count):
        low, high = ranges[rng.integers(len(ranges))]
        yield "".join(map(chr, rng.integers(low, high, rng.integers(1, 30)))) + rng.choice(LINES)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_published_tokenizer_gives_the_ids_that_theirs_gives(kind, tmp_path):
    made, special = MAKERS[kind]()
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, **{f"{key}_token": value for key, value in special.items()}
    )
    theirs.save_pretrained(tmp_path)
    ours = raw.Tokenizer(path=str(tmp_path / "tokenizer.json"))
    ours.train(())
    lines = [*odd(2_000), *LINES, "x" * 5_000, " \t\n ", "[MASK] <mask> </s>"]
    if folder := os.environ.get("BIGMODEL_TEST_DATA"):
        for path in sorted(Path(folder, "multi30k").glob("val.*.gz")):
            lines += gzip.decompress(path.read_bytes()).decode().splitlines()
    want = theirs(lines, add_special_tokens=False)["input_ids"]
    for line, ids, expected in zip(lines, ours.encode_batch(lines), want, strict=True):
        assert ids.tolist() == expected, line
