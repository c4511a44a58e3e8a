"""A transformer over patches that tells noise from image (Peebles and Xie 2023, DiT)."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.nn.activations import silu
from bigmodel_jax.nn.conditioning import Condition
from bigmodel_jax.nn.image_convolution import from_depth, to_depth
from bigmodel_jax.nn.linear import Dense
from bigmodel_jax.nn.mlp import MLP
from bigmodel_jax.nn.positions import sinusoids_of_grid
from bigmodel_jax.nn.self_attention import SelfAttention

EPSILON = 1e-6
zeros = nn.initializers.zeros


def norm(x: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
    """To mean 0 and variance 1 over the last axis, times 1 + scale, plus shift; in the dtype of x."""
    y = x.astype(jnp.float32)
    y -= y.mean(-1, keepdims=True)
    y *= jax.lax.rsqrt((y * y).mean(-1, keepdims=True) + EPSILON)
    return y.astype(x.dtype) * (1 + scale) + shift


class Block(nn.Module):
    """Attention and an MLP, each scaled, shifted and gated by the condition; it begins as nothing.

    Parameters: condition, attention, mlp.
    """

    num_heads: int
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, x, told):
        width = x.shape[-1]
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        given: dict[str, Any] = {"axes": ("embed", None), "kernel_init": zeros, **dtypes}
        parts = jnp.split(Dense(6 * width, name="condition", **given)(told)[:, None], 6, -1)
        attention = SelfAttention(self.num_heads, name="attention", **dtypes)
        mlp = MLP(4 * width, kind="gelu_tanh", name="mlp", **dtypes)
        x += parts[2] * attention(norm(x, *parts[:2]))[0]
        x += parts[5] * mlp(norm(x, *parts[3:5]))
        return sharding.shard(x, "batch", "length", "embed")


class Model(nn.Module):
    """From an image with noise, a time and a class to what is predicted, of the image's shape, float32.

    Parameters: condition (nn/conditioning.py), patches, block_0, block_1, ... (see Block), last_condition,
    last.

    Attributes:
        patch: side of a patch, in pixels; image_size is a multiple of it.
    """

    image_size: int = None  # pyright: ignore - filled from the data
    channels: int = None  # pyright: ignore
    num_classes: int = None  # pyright: ignore
    patch: int = 2
    width: int = 384
    num_layers: int = 12
    num_heads: int = 6
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, image: jax.Array, time: jax.Array, label: jax.Array, *, train: bool = False
    ) -> jax.Array:
        """As of models/unet.py."""
        if self.image_size % self.patch:
            raise UserError(
                f"model.image_size={self.image_size} does not divide into patches of "
                f"model.patch={self.patch}."
            )
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        side = self.image_size // self.patch
        condition = Condition(self.width, self.num_classes, name="condition", **dtypes)
        told = silu(condition(time, label))
        x = to_depth(image.astype(self.dtype), self.patch).reshape(len(image), side**2, -1)
        x = Dense(self.width, axes=(None, "embed"), name="patches", **dtypes)(x)
        x += jnp.asarray(sinusoids_of_grid(side, side, self.width), x.dtype)
        for i in range(self.num_layers):
            x = Block(self.num_heads, name=f"block_{i}", **dtypes)(x, told)
        last: dict[str, Any] = {"axes": ("embed", None), "kernel_init": zeros, **dtypes}
        parts = jnp.split(
            Dense(2 * self.width, name="last_condition", **last)(told)[:, None], 2, -1
        )
        x = norm(x, *parts)
        x = Dense(self.patch**2 * self.channels, name="last", out_dtype=jnp.float32, **last)(x)
        return from_depth(x.reshape(len(x), side, side, -1), self.patch)


VARIANTS = {
    "dit-s": {},
    "dit-b": {"width": 768, "num_heads": 12},
    "tiny": {"width": 16, "num_layers": 1, "num_heads": 2},
}
