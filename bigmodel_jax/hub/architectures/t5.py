"""T5 (Raffel et al. 2020), its version 1.1 and Flan-T5, as transformers' T5ForConditionalGeneration saves it."""

from collections.abc import Collection, Mapping
from typing import Any

from bigmodel_jax.hub.layout import Head, Row, attention, dense, norm
from bigmodel_jax.hub.settings import Setting, Unlike

MODEL, PREFIX = "t5", ""
_MLPS = {"relu": "relu", "gated-gelu": "geglu", "gated-silu": "swiglu"}
SETTINGS = (
    Setting("vocab_size", "vocabulary_size"),
    Setting("d_model", "width"),
    Setting("d_kv", "head_dim", 64),
    Setting("d_ff", "mlp_dim"),
    Setting("num_layers", "num_layers"),
    Setting("num_decoder_layers", "num_decoder_layers", None),
    Setting("num_heads", "num_heads"),
    Setting("relative_attention_num_buckets", "num_buckets", 32),
    Setting("relative_attention_max_distance", "max_distance", 128),
    Setting("dropout_rate", "dropout", 0.1),
    Setting("layer_norm_epsilon", "norm_epsilon", 1e-6),
    Setting("feed_forward_proj", "mlp", "relu", _MLPS),
)
FIXED = {"is_encoder_decoder": (True,), "is_decoder": (False,)}
READ = ("tie_word_embeddings", "scale_decoder_outputs")  # by read_more
IGNORED = (*READ, "n_positions", "dense_act_fn", "is_gated_act")
WRITTEN = ("tied", "logit_scale")  # by write_more
OURS = {
    "positions": "relative",
    "norm": "rms",
    "norm_first": True,
    "bias": False,
    "scale": 1.0,
    "embed_scale": False,
}


def _stack(name: str, attentions: Mapping[str, str]) -> tuple[Row, ...]:
    """The rows of the encoder or the decoder but the MLP's: the attentions, ours by theirs, in order."""
    layer, block = f"{name}.block.{{}}.layer", f"{name}/block_{{}}"
    first = f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    rows: list[Row] = [(first, "", f"{name}_relative/embedding")]
    for i, (theirs, ours) in enumerate(attentions.items()):
        names = " ".join(f"{layer}.{i}.{theirs}.{x}" for x in "qkvo")
        rows += norm(f"{layer}.{i}.layer_norm", f"{block}/{ours}_norm")
        rows += attention(names, f"{block}/{ours}")
    rows += norm(f"{layer}.{len(attentions)}.layer_norm", f"{block}/mlp_norm")
    rows += dense(f"{layer}.{len(attentions)}.DenseReluDense.wo", f"{block}/mlp/down")
    return (*rows, *norm(f"{name}.final_layer_norm", f"{name}/norm"))


_ENCODER = {"SelfAttention": "attention"}
_DECODER = {"SelfAttention": "attention", "EncDecAttention": "cross"}
PARAMETERS = (
    ("shared.weight", "", "embed/embedding"),
    *_stack("encoder", _ENCODER),
    *_stack("decoder", _DECODER),
    ("lm_head.weight", "o i -> i o", "head/kernel"),
)
HEADS = {"T5ForConditionalGeneration": Head({})}
BUFFERS: tuple[str, ...] = ()
TIES = (
    ("encoder.embed_tokens.weight", "shared.weight"),
    ("decoder.embed_tokens.weight", "shared.weight"),
    ("lm_head.weight", "shared.weight"),
)


def more_rows(spec: Mapping[str, Any]) -> tuple[Row, ...]:
    """The MLP's: one matrix up, or of a gated one two."""
    gated = spec["mlp"] in ("geglu", "swiglu")
    names = {"wi_0": "gate", "wi_1": "up"} if gated else {"wi": "up"}
    return tuple(
        row
        for stack, layer in (("encoder", 1), ("decoder", 2))
        for theirs, ours in names.items()
        for row in dense(
            f"{stack}.block.{{}}.layer.{layer}.DenseReluDense.{theirs}",
            f"{stack}/block_{{}}/mlp/{ours}",
        )
    )


def read_more(given: Mapping[str, Any], where: str, names: Collection[str]) -> dict[str, Any]:
    """The head: version 1.0 ties and scales it, 1.1 does neither.

    What tie_word_embeddings says of it transformers 5 calls scale_decoder_outputs.
    """
    scaled = given.get("scale_decoder_outputs", given.get("tie_word_embeddings", True))
    return {
        "tied": scaled or "lm_head.weight" not in names,
        "logit_scale": given["d_model"] ** -0.5 if scaled else None,
    }


def write_more(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `read_more`."""
    usual = spec["width"] ** -0.5
    scaled = spec["logit_scale"] is not None
    if scaled and (abs(spec["logit_scale"] - usual) > 1e-6 * usual or not spec["tied"]):
        raise Unlike("tied=True with logit_scale=width ** -0.5, or logit_scale=None")
    return {
        "tie_word_embeddings": scaled,
        "scale_decoder_outputs": scaled,
        "decoder_start_token_id": 0,
        "num_decoder_layers": spec["num_decoder_layers"] or spec["num_layers"],
    }
