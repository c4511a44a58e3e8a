"""The models of `transformers` from small random configs, and their weights under our paths."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import jax
import numpy as np
import pytest

from bigmodel_jax import trees

VOCABULARY, LENGTH = 37, 10
ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}

# Our path of a parameter of a layer: theirs, where {} is the layer's number.
_LLAMA_LAYER = {
    "attention_norm/scale": "model.layers.{}.input_layernorm.weight",
    "attention/query": "model.layers.{}.self_attn.q_proj",
    "attention/key": "model.layers.{}.self_attn.k_proj",
    "attention/value": "model.layers.{}.self_attn.v_proj",
    "attention/out": "model.layers.{}.self_attn.o_proj",
    "attention/query_norm/scale": "model.layers.{}.self_attn.q_norm.weight",
    "attention/key_norm/scale": "model.layers.{}.self_attn.k_norm.weight",
    "mlp_norm/scale": "model.layers.{}.post_attention_layernorm.weight",
    "mlp/gate": "model.layers.{}.mlp.gate_proj",
    "mlp/up": "model.layers.{}.mlp.up_proj",
    "mlp/down": "model.layers.{}.mlp.down_proj",
}
_LLAMA = {
    "embed/embedding": "model.embed_tokens.weight",
    "decoder/norm/scale": "model.norm.weight",
    "head": "lm_head",
}
_GEMMA_LAYER = {
    "attention_out_norm/scale": "model.layers.{}.post_attention_layernorm.weight",
    "mlp_norm/scale": "model.layers.{}.pre_feedforward_layernorm.weight",
    "mlp_out_norm/scale": "model.layers.{}.post_feedforward_layernorm.weight",
}
_GPT2_LAYER = {
    "attention_norm": "transformer.h.{}.ln_1",
    "attention": "transformer.h.{}.attn.c_attn",
    "attention/out": "transformer.h.{}.attn.c_proj",
    "mlp_norm": "transformer.h.{}.ln_2",
    "mlp/up": "transformer.h.{}.mlp.c_fc",
    "mlp/down": "transformer.h.{}.mlp.c_proj",
}
_GPT2 = {
    "embed/embedding": "transformer.wte.weight",
    "positions/embedding": "transformer.wpe.weight",
    "decoder/norm": "transformer.ln_f",
}
_BERT_LAYER = {
    "attention/query": "{}.encoder.layer.{}.attention.self.query",
    "attention/key": "{}.encoder.layer.{}.attention.self.key",
    "attention/value": "{}.encoder.layer.{}.attention.self.value",
    "attention/out": "{}.encoder.layer.{}.attention.output.dense",
    "attention_norm": "{}.encoder.layer.{}.attention.output.LayerNorm",
    "mlp/up": "{}.encoder.layer.{}.intermediate.dense",
    "mlp/down": "{}.encoder.layer.{}.output.dense",
    "mlp_norm": "{}.encoder.layer.{}.output.LayerNorm",
}
_BERT = {
    "embed/embedding": "{}.embeddings.word_embeddings.weight",
    "positions/embedding": "{}.embeddings.position_embeddings.weight",
    "types/embedding": "{}.embeddings.token_type_embeddings.weight",
    "embed_norm": "{}.embeddings.LayerNorm",
}
_BERT_HEADS = {
    "mlm/dense": "cls.predictions.transform.dense",
    "mlm/norm": "cls.predictions.transform.LayerNorm",
    "mlm/bias": "cls.predictions.bias",
    "pooler": "bert.pooler.dense",
    "classifier": "classifier",
}
_BERT_SPAN = {**_BERT_HEADS, "classifier": "qa_outputs"}
_ROBERTA_HEADS = {
    "mlm/dense": "lm_head.dense",
    "mlm/norm": "lm_head.layer_norm",
    "mlm/bias": "lm_head.bias",
    "pooler": "classifier.dense",
    "classifier": "classifier.out_proj",
}


def _named(table, family):
    return {ours: theirs.replace("{}", family, 1) for ours, theirs in table.items()}


# Of each family: its name in `transformers`, the whole table, the table of a layer.
_TABLES = {
    "gpt2": (_GPT2, _GPT2_LAYER),
    "llama": (_LLAMA, _LLAMA_LAYER),
    "gemma2": (_LLAMA, {**_LLAMA_LAYER, **_GEMMA_LAYER}),
    "bert": (_named(_BERT, "bert") | _BERT_HEADS, _named(_BERT_LAYER, "bert")),
    "bert span": (_named(_BERT, "bert") | _BERT_SPAN, _named(_BERT_LAYER, "bert")),
    "roberta": (_named(_BERT, "roberta") | _ROBERTA_HEADS, _named(_BERT_LAYER, "roberta")),
}


class Mapped:
    """Our parameters of one of their models, and its gradients under our paths.

    Args:
        peer: their model, whose parameters are first made random, none of them a special case.
        shapes: our parameters' shapes, nested.
        family: of _TABLES.
    """

    def __init__(self, peer, shapes, family):
        torch = pytest.importorskip("torch")
        self.peer, self.shapes, self.family = peer, trees.flatten(shapes), family
        torch.manual_seed(0)
        with torch.no_grad():
            for name, p in peer.named_parameters():
                noise = torch.randn_like(p) * (0.02 if "embed" in name else 0.1)
                p.add_(noise)
        self.params = trees.unflatten(
            {path: self._ours(path, lambda p: p.detach().numpy()) for path in self.shapes}
        )

    def gradients(self):
        """By our flat paths."""
        return {path: self._ours(path, lambda p: p.grad.numpy(), True) for path in self.shapes}

    def _ours(self, path, read, gradient=False):
        shape = self.shapes[path].shape
        whole, layer = _TABLES[self.family]
        parent, _, name = path.rpartition("/")
        number = None
        if "/block_" in path:
            number, _, rest = path.split("/block_")[1].partition("/")
            parent, _, name = rest.rpartition("/")
        table = whole if number is None else layer
        kind = {"kernel": "weight", "scale": "weight", "bias": "bias"}.get(name)
        split = None
        if f"{parent}/{name}" in table:
            theirs = table[f"{parent}/{name}"]
        elif parent in table:
            theirs = f"{table[parent]}.{kind}"
        else:  # GPT-2's one matrix of query, key and value
            above, _, part = parent.rpartition("/")
            split = ("query", "key", "value").index(part)
            theirs = f"{table[above]}.{kind}"
        value = read(self.peer.get_parameter(theirs.format(number)))
        if split is not None:
            value = np.split(value, 3, axis=-1)[split]
        if name == "kernel" and self.family != "gpt2":  # [out, in], but for GPT-2's Conv1D
            value = value.T
        if name == "scale" and self.family == "gemma2" and not gradient:
            value = 1.0 + value
        return np.ascontiguousarray(value.reshape(shape))


def compare(mapped, ours, theirs, weights, rtol=1e-4):
    """Asserts that logits and gradients of a weighed sum of squares agree, in relative norm.

    Args:
        ours: from our parameters to logits.
        theirs: from nothing to logits of torch.
        weights: of each logit; 0 where nobody looks.
    """
    torch = pytest.importorskip("torch")

    def loss(params):
        logits = ours(params)
        return (logits * logits * weights).sum(), logits

    gradients, logits = jax.jit(jax.grad(loss, has_aux=True))(mapped.params)
    want = theirs()
    (want * want * torch.tensor(weights)).sum().backward()
    shown = np.broadcast_to(weights, logits.shape) != 0
    close(np.asarray(logits)[shown], want.detach().numpy()[shown], rtol, "logits")
    for path, gradient in mapped.gradients().items():
        close(trees.flatten(gradients)[path], gradient, rtol, path)


def close(got, want, rtol, what):
    distance = np.linalg.norm(np.asarray(got) - want)
    # A key's bias moves all scores of a query alike: its gradient is rounding.
    floor = 1e-5
    assert distance <= rtol * np.linalg.norm(want) + floor, (what, distance, np.linalg.norm(want))
