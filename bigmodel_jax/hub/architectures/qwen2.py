"""Qwen 2 and 2.5: Llama with biases of query, key and value, and windows of attention."""

from collections.abc import Mapping
from typing import Any

from bigmodel_jax.errors import UserError
from bigmodel_jax.hub.architectures import llama
from bigmodel_jax.hub.layout import Head

MODEL, PREFIX, SETTINGS = llama.MODEL, llama.PREFIX, llama.SETTINGS
PARAMETERS, BUFFERS, TIES = llama.PARAMETERS, llama.BUFFERS, llama.TIES
FIXED: dict[str, tuple] = {}
IGNORED = (*llama.READ, "use_sliding_window", "sliding_window", "max_window_layers", "layer_types")
WRITTEN = (*llama.WRITTEN, "window")
OURS = {**llama.OURS, "qkv_bias": True}
HEADS = {"Qwen2ForCausalLM": Head({"head": "lm"})}


def read_more(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What Llama has, and the window of each layer."""
    return {**llama.read_more(given, where), "window": windows(given, where)}


def windows(given: Mapping[str, Any], where: str) -> tuple[int | None, ...] | int | None:
    """model.window: layers from max_window_layers on look no further than sliding_window."""
    count, size = given["num_hidden_layers"], given.get("sliding_window")
    if not given.get("use_sliding_window") or size is None:
        return None
    kinds = given.get("layer_types")
    if kinds is None:
        first = given.get("max_window_layers", 28)
        kinds = ["full_attention" if i < first else "sliding_attention" for i in range(count)]
    if len(kinds) != count or not {*kinds} <= {"full_attention", "sliding_attention"}:
        raise UserError(f"{where}: layer_types {kinds} are not of {count} layers of attention.")
    every = tuple(size if kind == "sliding_attention" else None for kind in kinds)
    return every[0] if len({*every}) == 1 else every


def write_more(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `read_more`."""
    settings = llama.write_more(spec)
    given = spec["window"] if isinstance(spec["window"], tuple | list) else (spec["window"],)
    every = [given[i % len(given)] for i in range(spec["num_layers"])]
    sizes = {size for size in every if size is not None}
    if len(sizes) > 1:
        raise UserError(f"model.window has several sizes, {sorted(sizes)}, and Qwen's has one.")
    kinds = ["full_attention" if size is None else "sliding_attention" for size in every]
    return {
        **settings,
        "use_sliding_window": bool(sizes),
        "sliding_window": next(iter(sizes), None),
        "layer_types": kinds,
        "max_window_layers": next((i for i, s in enumerate(every) if s is not None), len(every)),
    }
