"""Published by `transformers`, brought in by us: the same numbers; published by us: the same again."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import jax
import numpy as np
import pytest

from bigmodel_jax import checkpoint, config, rundir, trees
from bigmodel_jax.hub import axes, published
from bigmodel_jax.hub.exporting import publish
from bigmodel_jax.hub.importing import bring
from bigmodel_jax.hub.loading import load

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZE = 61  # of the vocabulary
BERT = {
    "vocab_size": SIZE,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
}
LLAMA = {**BERT, "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 64}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}
WINDOW = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}
DISTIL = {"vocab_size": SIZE, "dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 40}
GPT2 = {"vocab_size": SIZE, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 40}
T5 = {
    "vocab_size": SIZE,
    "d_model": 24,
    "d_kv": 6,
    "d_ff": 40,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
VIT = {**BERT, "image_size": 12, "patch_size": 4}
del VIT["vocab_size"]
RESNET = {"embedding_size": 8, "depths": [1, 2], "layer_type": "basic", "hidden_sizes": [8, 16]}
BOTTLENECK = {**RESNET, "layer_type": "bottleneck", "hidden_sizes": [32, 64]}
# (class, its config); each is a shape that some published model has.
CASES = {
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "gpt2-other-mlp": ("GPT2LMHeadModel", {**GPT2, "n_inner": 50, "activation_function": "gelu"}),
    "llama": ("LlamaForCausalLM", {**LLAMA, "tie_word_embeddings": True}),
    "llama-3": ("LlamaForCausalLM", {**LLAMA, "head_dim": 6, "rope_parameters": LLAMA3}),
    "qwen2": ("Qwen2ForCausalLM", LLAMA),
    "qwen2-windows": ("Qwen2ForCausalLM", {**LLAMA, **WINDOW, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3ForCausalLM", {**LLAMA, "head_dim": 8}),
    "bert": ("BertForMaskedLM", BERT),
    "bert-classes": ("BertForSequenceClassification", {**BERT, "num_labels": 3}),
    "bert-tags": ("BertForTokenClassification", {**BERT, "num_labels": 5}),
    "bert-spans": ("BertForQuestionAnswering", BERT),
    "bert-alone": ("BertModel", BERT),
    "roberta": ("RobertaForMaskedLM", {**BERT, "type_vocab_size": 1, "layer_norm_eps": 1e-5}),
    "roberta-classes": ("RobertaForSequenceClassification", {**BERT, "type_vocab_size": 1}),
    "roberta-spans": ("RobertaForQuestionAnswering", {**BERT, "type_vocab_size": 1}),
    "distilbert": ("DistilBertForMaskedLM", DISTIL),
    "distilbert-spans": ("DistilBertForQuestionAnswering", DISTIL),
    "t5": ("T5ForConditionalGeneration", T5),
    "t5-gated": (
        "T5ForConditionalGeneration",
        {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    ),
    "vit": ("ViTForImageClassification", {**VIT, "num_labels": 3}),
    "vit-alone": ("ViTModel", {**VIT, "qkv_bias": False}),
    "resnet": ("ResNetForImageClassification", {**RESNET, "num_labels": 3}),
    "resnet-alone": ("ResNetModel", BOTTLENECK),
    "distilbert-classes": ("DistilBertForSequenceClassification", {**DISTIL, "num_labels": 4}),
}


# What the others hold too, but for a field or a head.
ALIKE = (
    "gpt2-other-mlp", "llama", "qwen2", "bert-tags", "bert-alone", "roberta-classes", "roberta-spans",
    "distilbert-spans", "distilbert-classes", "t5", "vit-alone", "resnet-alone",
)  # fmt: skip


def cases():
    """All, of which the like ones are slow."""
    return [pytest.param(c, marks=pytest.mark.slow) if c in ALIKE else c for c in CASES]


def peer_of(case, dtype="float32"):
    """Their model, none of its parameters a special case."""
    name, settings = CASES[case]
    kind = getattr(transformers, name)
    torch.manual_seed(0)
    peer = kind(kind.config_class(**settings, attn_implementation=attention_of(case)))
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, buffer in peer.named_buffers():
            if "running" in name:
                buffer.add_(0.5 * torch.rand_like(buffer))
    return peer.to(getattr(torch, dtype)).eval()


def attention_of(case):
    return None if case.startswith("resnet") else "eager"  # of which only that has gradients alike


@pytest.fixture
def texts():
    """Three texts of 11, 7 and 1 tokens, padded on the right, and the mask."""
    lengths = np.array([11, 7, 1])
    tokens = np.random.default_rng(0).integers(3, SIZE, (3, 11)).astype(np.int32)
    mask = np.arange(11) < lengths[:, None]
    return np.where(mask, tokens, 0).astype(np.int32), mask


def ours_of(folder):
    """(what was read, variables)."""
    found = published.read(folder)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]).reshape(1, 1, 1, 1, 1, 1), MESH)
    from bigmodel_jax import sharding

    with sharding.use(mesh):
        return found, load(found, published.abstract(found.model, mesh))


MESH = ("data", "fsdp", "tensor", "sequence", "expert", "stage")


def close(got, want, rtol=1e-4, floor=1e-5):
    got, want = np.asarray(got, np.float32), np.asarray(want, np.float32)
    assert got.shape == want.shape
    assert np.linalg.norm(got - want) <= rtol * np.linalg.norm(want) + floor


def pixels():
    return np.random.default_rng(1).normal(size=(3, 12, 12, 3)).astype(np.float32)


def their_output(peer, tokens, mask):
    if peer.config.model_type in ("vit", "resnet"):
        out = peer(torch.tensor(pixels()).permute(0, 3, 1, 2))
        return out.pooler_output.flatten(1) if "pooler_output" in out else out.logits
    if peer.config.model_type == "t5":
        source, seen = torch.tensor(tokens).long(), torch.tensor(mask).long()
        return peer(input_ids=source, attention_mask=seen, decoder_input_ids=source.flip(1)).logits
    given = {"input_ids": torch.tensor(tokens).long(), "attention_mask": torch.tensor(mask).long()}
    if peer.config.model_type in ("bert", "roberta"):
        given["token_type_ids"] = torch.zeros_like(given["input_ids"])
    out = peer(**given)
    if "pooler_output" in out:
        return out.pooler_output
    if "start_logits" in out:
        return torch.stack([out.start_logits, out.end_logits], -1)
    return out.logits


@pytest.mark.parametrize("case", cases())
def test_a_published_model_gives_the_same_logits_and_gradients(case, texts, tmp_path):
    peer = peer_of(case)
    peer.save_pretrained(tmp_path)
    found, variables = ours_of(tmp_path)
    tokens, mask = texts
    model = config.build("models", found.model)
    seen = mask[..., None] if found.model.get("head") in ("tag", "span", "lm") else 1.0
    inputs = (pixels(),) if case.startswith(("vit", "resnet")) else texts
    if case.startswith("t5"):
        inputs = (tokens, tokens[:, ::-1], mask)
    weights = np.broadcast_to(seen, np.shape(their_output(peer, tokens, mask).detach()))

    def loss(params):
        logits = model.apply({**variables, "params": params}, *inputs)
        return (jax.numpy.square(logits) * weights).sum(), logits

    gradients, logits = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    want = their_output(peer, tokens, mask)
    (want.square() * torch.tensor(weights.astype(np.float32))).sum().backward()
    close(np.asarray(logits) * weights, want.detach().numpy() * weights)
    flat = trees.flatten(gradients)
    theirs = {
        x.detach().numpy().tobytes(): x for x in peer.parameters()
    }  # names of files are others
    for link in found.links:
        if link.ours[0] not in flat:  # a running statistic
            continue
        got = axes.to_theirs(link.axes, [np.asarray(flat[path]) for path in link.ours])
        name = found.names[link.theirs]
        value = found.files[name].view(name)
        close(got, theirs[value.tobytes()].grad.numpy(), floor=2e-4)


@pytest.mark.parametrize("case", cases())
def test_what_we_publish_is_what_transformers_reads(case, texts, tmp_path):
    peer = peer_of(case)
    peer.save_pretrained(tmp_path / "theirs")
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    publish(str(tmp_path / "run"), str(tmp_path / "ours"), "30KB")
    again = (
        type(peer).from_pretrained(tmp_path / "ours", attn_implementation=attention_of(case)).eval()
    )
    with torch.no_grad():
        for name, parameter in peer.named_parameters():
            assert torch.equal(again.get_parameter(name), parameter), name
        assert torch.equal(their_output(again, *texts), their_output(peer, *texts))
    assert {k: v for k, v in again.config.to_dict().items() if k not in VARYING} == {
        k: v for k, v in peer.config.to_dict().items() if k not in VARYING
    }


VARYING = (
    "_name_or_path",
    "n_inner",
    "rope_theta",
    "rope_scaling",
    "max_window_layers",
    "architectures",
)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bits_stay_sixteen_bits(dtype, tmp_path):
    peer = peer_of("qwen3", dtype)
    peer.save_pretrained(tmp_path / "theirs")
    bring(tmp_path / "theirs", str(tmp_path / "run"))
    spec = rundir.read_config(tmp_path / "run")["model"]
    assert spec["param_dtype"] == dtype
    saved = checkpoint.saved_variables(tmp_path / "run" / "checkpoints" / "0")
    assert {x.dtype.name for x in saved.values()} == {dtype}
    publish(str(tmp_path / "run"), str(tmp_path / "ours"))
    again = type(peer).from_pretrained(tmp_path / "ours", dtype="auto")
    for name, parameter in peer.named_parameters():
        assert torch.equal(again.get_parameter(name), parameter), name
