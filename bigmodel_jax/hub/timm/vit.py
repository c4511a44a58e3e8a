"""timm's VisionTransformer with a class token, vit_base_patch16_224 and its like."""

import math
from collections.abc import Mapping
from typing import Any

from bigmodel_jax.errors import UserError
from bigmodel_jax.hub.architectures.vit import FIXED, IGNORED, MODEL, OURS, SETTINGS, TIES
from bigmodel_jax.hub.layout import Head, dense, norm

__all__ = ["FIXED", "IGNORED", "MODEL", "OURS", "SETTINGS", "TIES"]

PREFIX = ""
_BLOCK = "encoder/block_{}"
_QKV = tuple(f"{_BLOCK}/attention/{name}" for name in ("query", "key", "value"))
PARAMETERS = (
    ("cls_token", "1 1 d -> d", "class_token"),
    ("pos_embed", "1 n d -> n d", "grid_positions/embedding"),
    ("patch_embed.proj.weight", "o c h w -> h w c o", "patches/kernel"),
    ("patch_embed.proj.bias", "", "patches/bias"),
    *norm("blocks.{}.norm1", f"{_BLOCK}/attention_norm"),
    ("blocks.{}.attn.qkv.weight", "(3 h d) i -> i h d", tuple(f"{x}/kernel" for x in _QKV)),
    ("blocks.{}.attn.qkv.bias", "(3 h d) -> h d", tuple(f"{x}/bias" for x in _QKV)),
    *dense("blocks.{}.attn.proj", f"{_BLOCK}/attention/out", "o (h d) -> h d o"),
    *norm("blocks.{}.norm2", f"{_BLOCK}/mlp_norm"),
    *dense("blocks.{}.mlp.fc1", f"{_BLOCK}/mlp/up"),
    *dense("blocks.{}.mlp.fc2", f"{_BLOCK}/mlp/down"),
    *norm("norm", "encoder/norm"),
)
HEADS = {"ViTForImageClassification": Head({"head": "classify"}, dense("head", "classifier"))}
BUFFERS: tuple[str, ...] = ()
NEEDED = (
    "head.weight", "cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.mlp.fc1.weight",
)  # fmt: skip
HEADS_OF = {
    "tiny": 3,
    "small": 6,
    "base": 12,
    "large": 16,
    "huge": 16,
}  # of attention; no shape tells


def settings(
    given: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], where: str
) -> dict[str, Any]:
    """What transformers' config.json says; of timm's `given` only the number of heads and the pooling."""
    if (pooling := given.get("global_pool", "token")) != "token":
        raise UserError(f"{where}: global_pool is {pooling!r}, but our model knows 'token' only.")
    size = given["architecture"].split("_")[1]
    heads = given.get("model_args", {}).get("num_heads", HEADS_OF.get(size))
    if heads is None:
        raise UserError(
            f"{where}: how many heads {given['architecture']!r} has is not known here: let it say "
            '"model_args": {"num_heads": NUMBER}.'
        )
    width, channels, patch, _ = shapes["patch_embed.proj.weight"]
    return {
        "image_size": patch * math.isqrt(shapes["pos_embed"][1] - 1),
        "patch_size": patch,
        "num_channels": channels,
        "hidden_size": width,
        "intermediate_size": shapes["blocks.0.mlp.fc1.weight"][0],
        "num_hidden_layers": sum(name.endswith(".mlp.fc1.weight") for name in shapes),
        "num_attention_heads": heads,
        "qkv_bias": "blocks.0.attn.qkv.bias" in shapes,
        "layer_norm_eps": 1e-6,
    }
