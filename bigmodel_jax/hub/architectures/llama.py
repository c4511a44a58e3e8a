"""Llama (Touvron et al. 2023), as transformers' LlamaForCausalLM saves it; Qwen's are its likes."""

from collections.abc import Mapping
from typing import Any

from bigmodel_jax.errors import UserError
from bigmodel_jax.hub.layout import Head, attention, dense, norm
from bigmodel_jax.hub.settings import Setting

MODEL, PREFIX = "gpt", "model."
SETTINGS = (
    Setting("vocab_size", "vocabulary_size"),
    Setting("max_position_embeddings", "max_length"),
    Setting("hidden_size", "width"),
    Setting("intermediate_size", "mlp_dim"),
    Setting("num_hidden_layers", "num_layers"),
    Setting("num_attention_heads", "num_heads"),
    Setting("rms_norm_eps", "norm_epsilon", 1e-6),
    Setting("tie_word_embeddings", "tied", False),
    Setting("hidden_act", "mlp", "silu", {"silu": "swiglu"}),
)
FIXED: dict[str, tuple] = {"attention_bias": (False,), "mlp_bias": (False,)}
READ = ("num_key_value_heads", "head_dim", "rope_theta", "rope_scaling", "rope_parameters")
IGNORED = READ  # by read_more
WRITTEN = ("num_groups", "head_dim", "rope_theta", "rope_scaling")  # by write_more
OURS = {"positions": "rope", "norm": "rms", "bias": False, "qkv_bias": None, "qk_norm": False}

_LAYER, _BLOCK = "model.layers.{}", "decoder/block_{}"
_NAMES = " ".join(f"{_LAYER}.self_attn.{x}_proj" for x in "qkvo")
PARAMETERS = (
    ("model.embed_tokens.weight", "", "embed/embedding"),
    *norm(f"{_LAYER}.input_layernorm", f"{_BLOCK}/attention_norm"),
    *attention(_NAMES, f"{_BLOCK}/attention"),
    *norm(f"{_LAYER}.self_attn.q_norm", f"{_BLOCK}/attention/query_norm"),
    *norm(f"{_LAYER}.self_attn.k_norm", f"{_BLOCK}/attention/key_norm"),
    *norm(f"{_LAYER}.post_attention_layernorm", f"{_BLOCK}/mlp_norm"),
    *dense(f"{_LAYER}.mlp.gate_proj", f"{_BLOCK}/mlp/gate"),
    *dense(f"{_LAYER}.mlp.up_proj", f"{_BLOCK}/mlp/up"),
    *dense(f"{_LAYER}.mlp.down_proj", f"{_BLOCK}/mlp/down"),
    *norm("model.norm", "decoder/norm"),
    ("lm_head.weight", "o i -> i o", "head/kernel"),
)
HEADS = {"LlamaForCausalLM": Head({"head": "lm"})}
BUFFERS = (r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq",)
TIES = (("lm_head.weight", "model.embed_tokens.weight"),)


def read_more(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Groups, the size of a head, and rotary positions, which two generations write differently."""
    heads, width = given["num_attention_heads"], given["hidden_size"]
    if "head_dim" not in given and width % heads:
        raise UserError(f"{where}: hidden_size {width} does not divide into {heads} heads.")
    rope = {**(given.get("rope_scaling") or {}), **(given.get("rope_parameters") or {})}
    rope.setdefault("rope_type", rope.pop("type", "default"))
    theta = rope.pop("rope_theta", given.get("rope_theta", 10_000.0))
    return {
        "num_groups": given.get("num_key_value_heads") or heads,
        "head_dim": given.get("head_dim") or width // heads,
        "rope_theta": float(theta),
        "rope_scaling": None if rope["rope_type"] == "default" else rope,
    }


def write_more(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `read_more`."""
    rope = {"rope_type": "default", **(spec["rope_scaling"] or {})}
    usual = spec["width"] // spec["num_heads"]
    size = spec["head_dim"] or usual
    return {
        "num_key_value_heads": spec["num_groups"] or spec["num_heads"],
        **({"head_dim": size} if size != usual else {}),
        "rope_parameters": {**rope, "rope_theta": spec["rope_theta"]},
        "rope_theta": spec["rope_theta"],  # for readers before rope_parameters
        **({"rope_scaling": rope} if spec["rope_scaling"] else {}),
    }
