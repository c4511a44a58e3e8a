"""Normalisation of single examples: in float32 inside, whatever comes in and goes out."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError


class LayerNorm(nn.Module):
    """To mean 0 and variance 1 over the last axis, then scale and bias (Ba et al. 2016).

    Computes in float32 and returns `dtype`. Parameters: scale and, with use_bias, bias.
    """

    epsilon: float = 1e-5
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        shape = (x.shape[-1],)
        scale = self.param("scale", sharding.axes(ones, "embed"), shape, self.param_dtype)
        x = x.astype(jnp.float32)
        x -= x.mean(-1, keepdims=True)
        x *= jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + self.epsilon)
        x *= scale.astype(jnp.float32)
        if self.use_bias:
            bias = self.param("bias", sharding.axes(zeros, "embed"), shape, self.param_dtype)
            x += bias.astype(jnp.float32)
        return x.astype(self.dtype)


class RMSNorm(nn.Module):
    """Divides by the root of the mean square over the last axis, then scales (Zhang, Sennrich 2019).

    Computes in float32 and returns `dtype`. Where a published model multiplies by 1 + weight (Gemma),
    scale is that sum. Parameter: scale, with the logical axis `axis`.
    """

    epsilon: float = 1e-6
    axis: str = "embed"
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = sharding.axes(nn.initializers.ones, self.axis)
        scale = self.param("scale", init, (x.shape[-1],), self.param_dtype)
        x = x.astype(jnp.float32)
        x *= jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + self.epsilon)
        return (x * scale.astype(jnp.float32)).astype(self.dtype)


class GroupNorm(nn.Module):
    """To mean 0 and variance 1 over places and a group of channels, then scale and bias (Wu, He 2018).

    `[batch, ..., channels]` to the same. Computes in float32 and returns `dtype`. Parameters: scale
    and bias, `[channels]`.

    Attributes:
        groups: of channels that follow one another.
    """

    groups: int = 32
    epsilon: float = 1e-5
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, channels = x.shape[0], x.shape[-1]
        if channels % self.groups:
            raise UserError(f"{channels} channels do not divide into {self.groups} groups.")
        scale = self.param("scale", self.scale_init, (channels,), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,), self.param_dtype)
        y = x.astype(jnp.float32).reshape(batch, -1, self.groups, channels // self.groups)
        y -= y.mean((1, 3), keepdims=True)
        y *= jax.lax.rsqrt((y * y).mean((1, 3), keepdims=True) + self.epsilon)
        y = y.reshape(x.shape) * scale.astype(jnp.float32) + bias.astype(jnp.float32)
        return y.astype(self.dtype)
