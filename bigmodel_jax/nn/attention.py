"""Attention: one function for all models, and multi-head self-attention over it.

    attention(q, k, v, mask=mask)           sees where the mask is True
    attention(q, k, v, causal=True)         sees itself and what came before

On a GPU it is jax.nn.dot_product_attention. Elsewhere it is written out with the heads first, as
products of plain matrices, and with its own backward pass: 0.6 of its time on XLA's CPU backend.
"""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.nn.linear import matmul


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    mask: jax.Array | None = None,
    causal: bool = False,
) -> jax.Array:
    """Scaled dot-product attention (Vaswani et al. 2017), of grouped queries (Ainslie et al. 2023).

    The operands of products have the dtype of q; sums and the softmax are float32. A query that may
    see nothing gives zeros. What k and v hold where nobody looks must still be finite.

    Args:
        q: `[batch, length, heads, head_dim]`.
        k: `[batch, keys, groups, head_dim]`, where the groups divide the heads: query head i reads
            group i // (heads / groups).
        v: as k.
        mask: `[batch, heads, length, keys]` bool, True = look; every axis but the last may be 1.
        causal: query i sees the keys up to i only (both have one length then).

    Returns:
        `[batch, length, heads, head_dim]`, in q's dtype.
    """
    if causal:
        order = jnp.tri(q.shape[1], k.shape[1], dtype=bool)
        mask = order[None, None] if mask is None else mask & order
    form = _fused if jax.default_backend() == "gpu" else _written_out
    return form(q, k, v, mask)


def _fused(q, k, v, mask):
    """JAX's own, which gives a query that may see nothing the mean of all values instead of 0."""
    out = jax.nn.dot_product_attention(q, k, v, mask=mask)
    if mask is None:
        return out
    return jnp.where(mask.any(-1).swapaxes(1, 2)[..., None], out, jnp.zeros_like(out))


def _written_out(q, k, v, mask):
    (batch, length, heads, head_dim), groups = q.shape, k.shape[2]
    shared = heads // groups
    q_scaled = (q.astype(jnp.float32) * head_dim**-0.5).astype(q.dtype)
    q_scaled = q_scaled.reshape(batch, length, groups, shared, head_dim).transpose(0, 2, 3, 1, 4)
    if mask is not None:
        split = (groups, shared) if mask.shape[1] == heads else (1, 1)
        mask = mask.reshape(mask.shape[0], *split, *mask.shape[2:])
    out = _attend(q_scaled, k.swapaxes(1, 2), v.swapaxes(1, 2), mask)
    return out.transpose(0, 3, 1, 2, 4).reshape(q.shape).astype(q.dtype)


def _product(pattern, a, b):
    return jnp.einsum(pattern, a, b, preferred_element_type=jnp.float32)


@jax.custom_vjp
def _attend(q, k, v, mask):
    """`[b, groups, shared, length, d]` float32; k and v `[b, groups, keys, d]`."""
    return _attend_forward(q, k, v, mask)[0]


def _attend_forward(q, k, v, mask):
    scores = _product("bgsld,bgkd->bgslk", q, k)
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    # Of a row of -inf alone: exp(-inf - 0) = 0, and 0 / 1.
    highest = scores.max(-1, keepdims=True)
    weights = jnp.exp(scores - jnp.where(highest == -jnp.inf, 0.0, highest))
    total = weights.sum(-1, keepdims=True)
    weights = (weights / jnp.where(total == 0, 1.0, total)).astype(q.dtype)
    out = _product("bgslk,bgkd->bgsld", weights, v)
    return out, (q, k, v, weights, out)


def _attend_backward(saved, d_out):
    q, k, v, weights, out = saved
    # The sum over the keys of weights * d_weights, from shorter rows.
    overlap = (d_out * out).sum(-1, keepdims=True)
    d_out = d_out.astype(q.dtype)
    d_weights = _product("bgsld,bgkd->bgslk", d_out, v)
    d_scores = (weights.astype(jnp.float32) * (d_weights - overlap)).astype(q.dtype)
    d_q = _product("bgslk,bgkd->bgsld", d_scores, k)
    d_k = _product("bgslk,bgsld->bgkd", d_scores, q)
    d_v = _product("bgslk,bgsld->bgkd", weights, d_out)
    return d_q.astype(q.dtype), d_k.astype(k.dtype), d_v.astype(v.dtype), None


_attend.defvjp(_attend_forward, _attend_backward)


class SelfAttention(nn.Module):
    """Multi-head self-attention: `[batch, length, dim]` to the same, in `dtype`.

    Parameters: kernels of query, key and value `[dim, num_heads, head_dim]` and biases
    `[num_heads, head_dim]`; out/kernel `[num_heads, head_dim, dim]`, out/bias `[dim]`.
    """

    num_heads: int
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """`mask` as `attention` takes it."""
        dim = x.shape[-1]
        if dim % self.num_heads:
            raise UserError(f"A width of {dim} does not divide into {self.num_heads} heads.")
        heads = (self.num_heads, dim // self.num_heads)
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        names = ("embed", "heads", "head_dim")
        q, k, v = (
            Projection(heads, names=names, name=name, **dtypes)(x)
            for name in ("query", "key", "value")
        )
        y = attention(q, k, v, mask=mask)
        names = ("heads", "head_dim", "embed")
        return Projection((dim,), in_axes=2, names=names, name="out", **dtypes)(y)


class Projection(nn.Module):
    """An affine map of the last `in_axes` axes to `features`, one or more; see Dense."""

    features: tuple[int, ...]
    names: tuple[str, ...]
    in_axes: int = 1
    kernel_init: Callable = nn.initializers.xavier_uniform()
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, inputs = x.shape[: -self.in_axes], x.shape[-self.in_axes :]
        size_in, size_out = math.prod(inputs), math.prod(self.features)

        def flat_init(key, shape, dtype):  # the fan is that of the matrix
            return self.kernel_init(key, (size_in, size_out), dtype).reshape(shape)

        init = sharding.axes(flat_init, *self.names)
        kernel = self.param("kernel", init, (*inputs, *self.features), self.param_dtype)
        zeros = sharding.axes(nn.initializers.zeros, *self.names[self.in_axes :])
        bias = self.param("bias", zeros, self.features, self.param_dtype)
        matrix = kernel.astype(self.dtype).reshape(size_in, size_out)
        y = matmul(x.astype(self.dtype).reshape(*batch, size_in), matrix)
        y = y.reshape(*batch, *self.features) + bias.astype(jnp.float32)
        return y.astype(self.dtype)
