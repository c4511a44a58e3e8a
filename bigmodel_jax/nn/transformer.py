"""The transformer encoder: pre-norm blocks of self-attention and an MLP, and a norm at the end."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.nn.attention import SelfAttention
from bigmodel_jax.nn.linear import Dense


class Encoder(nn.Module):
    """Pre-norm transformer blocks (Xiong et al. 2020): `[batch, length, dim]` to the same, `dtype`.

    Parameters: block_0, block_1, ... (see Block) and norm (scale, bias).
    """

    num_layers: int
    num_heads: int
    mlp_dim: int
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array | None = None, *, train: bool = False
    ) -> jax.Array:
        """`mask` is which position sees which, `[batch, 1, length, length]`; see nn/attention.py."""
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = x.astype(self.dtype)
        for i in range(self.num_layers):
            block = Block(self.num_heads, self.mlp_dim, self.dropout, name=f"block_{i}", **dtypes)
            x = block(x, mask, train=train)
        return LayerNorm(name="norm", **dtypes)(x)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), dropout on what is added.

    Parameters: attention_norm, attention (query, key, value, out), mlp_norm, mlp (up, down).
    """

    num_heads: int
    mlp_dim: int
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array | None = None, *, train: bool = False
    ) -> jax.Array:
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        drop = functools.partial(nn.Dropout(self.dropout), deterministic=not train)
        y = LayerNorm(name="attention_norm", **dtypes)(x)
        x += drop(SelfAttention(self.num_heads, name="attention", **dtypes)(y, mask))
        y = LayerNorm(name="mlp_norm", **dtypes)(x)
        x += drop(MLP(self.mlp_dim, name="mlp", **dtypes)(y))
        return sharding.shard(x, "batch", "length", "embed")


class MLP(nn.Module):
    """Two dense layers, up to `hidden` and down to the input's size, with a GELU between them."""

    hidden: int
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        y = gelu(Dense(self.hidden, axes=("embed", "mlp"), name="up", **dtypes)(x))
        return Dense(x.shape[-1], axes=("mlp", "embed"), name="down", **dtypes)(y)


class LayerNorm(nn.Module):
    """To mean 0 and variance 1 over the last axis, then scale and bias (Ba et al. 2016).

    Computes in float32 and returns `dtype`.
    """

    epsilon: float = 1e-5
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        shape = (x.shape[-1],)
        scale = self.param("scale", sharding.axes(ones, "embed"), shape, self.param_dtype)
        bias = self.param("bias", sharding.axes(zeros, "embed"), shape, self.param_dtype)
        x = x.astype(jnp.float32)
        x -= x.mean(-1, keepdims=True)
        x *= jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + self.epsilon)
        return (x * scale.astype(jnp.float32) + bias.astype(jnp.float32)).astype(self.dtype)


@jax.custom_vjp
def gelu(x: jax.Array) -> jax.Array:
    """x times the normal distribution's Phi(x) (Hendrycks and Gimpel 2016), exactly.

    The slope is computed beside the value, where the error function is at hand; automatic
    differentiation would compute it twice.
    """
    return _gelu_forward(x)[0]


def _gelu_forward(x):
    x32 = x.astype(jnp.float32)
    phi = 0.5 * (1.0 + jax.lax.erf(x32 * np.float32(0.5**0.5)))
    slope = phi + x32 * jnp.exp(-0.5 * x32 * x32) * np.float32((2 * np.pi) ** -0.5)
    return (x32 * phi).astype(x.dtype), slope.astype(x.dtype)


def _gelu_backward(slope, d_y):
    return (d_y * slope,)


gelu.defvjp(_gelu_forward, _gelu_backward)


def sinusoids(length: int, dim: int) -> np.ndarray:
    """The positions of Vaswani et al. (2017): sines, then cosines, `[length, dim]` float32.

    Of wavelengths from 2 pi to 10,000 times that. An odd `dim` has one sine more.
    """
    wave = np.exp(-np.log(10_000.0) * np.arange((dim + 1) // 2) / max(dim // 2, 1))
    angles = np.arange(length)[:, None] * wave
    return np.concatenate([np.sin(angles), np.cos(angles)[:, : dim // 2]], 1).astype(np.float32)
