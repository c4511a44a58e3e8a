"""Attention written out, for CPUs and for what no fused kernel does.

The heads come first, as products of plain matrices, and the backward pass is our own: 0.6 of the
time of automatic differentiation of the usual form on XLA's CPU backend.
"""

import functools

import jax
import jax.numpy as jnp


def written_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array | None,
    softcap: float | None,
    scale: float,
    bias: jax.Array | None = None,
) -> jax.Array:
    """`attention` (nn/attention.py) of the mask alone; a query that may see nothing gives zeros."""
    (batch, length, heads, head_dim), groups = q.shape, k.shape[2]
    shared = heads // groups
    rows = (length,) if shared == 1 else (shared, length)
    q_scaled = (q.astype(jnp.float32) * scale).astype(q.dtype)
    q_scaled = q_scaled.swapaxes(1, 2).reshape(batch, groups, *rows, head_dim)
    if mask is not None and shared > 1:
        split = (groups, shared) if mask.shape[1] == heads else (1, 1)
        mask = mask.reshape(mask.shape[0], *split, *mask.shape[2:])
    if bias is not None and shared > 1:
        bias = bias.reshape(bias.shape[0], groups, shared, *bias.shape[2:])
    out: jax.Array = _attend(q_scaled, k.swapaxes(1, 2), v.swapaxes(1, 2), mask, bias, softcap)
    return out.reshape(batch, heads, length, head_dim).swapaxes(1, 2).astype(q.dtype)


def _from_rows(x, y):
    """`[b, g, *rows, i]` by `[b, g, j, i]` over i: `[b, g, *rows, j]` float32."""
    out = jnp.einsum("bg...i,bgji->bg...j", _apart(x), y, preferred_element_type=jnp.float32)
    return out.reshape(*x.shape[:-1], y.shape[2])


def _to_rows(x, y):
    """`[b, g, *rows, j]` by `[b, g, j, i]` over j: `[b, g, *rows, i]` float32."""
    out = jnp.einsum("bg...j,bgji->bg...i", _apart(x), y, preferred_element_type=jnp.float32)
    return out.reshape(*x.shape[:-1], y.shape[3])


def _over_rows(x, y):
    """`[b, g, *rows, j]` by `[b, g, *rows, i]` over the rows: `[b, g, j, i]` in y's dtype.

    Turned round, so that what is transposed in memory is y, with its few columns, and not x. The
    barrier keeps the compiler from turning it back, to a product that XLA's CPU backend lacks in
    bfloat16.
    """
    x, y = _apart(x), _apart(y)
    out = jnp.einsum("bg...i,bg...j->bgij", y, x, preferred_element_type=jnp.float32)
    return jax.lax.optimization_barrier(out.astype(y.dtype)).swapaxes(2, 3)


def _apart(x):
    """In 16 bits an axis of 1 before a single axis of rows.

    With it XLA's CPU backend brings a product into the form of its bfloat16 kernels; without, it
    casts the operands to float32 and takes half as long again.
    """
    return x[:, :, None] if x.ndim == 4 and x.dtype.itemsize == 2 else x


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _attend(q, k, v, mask, bias, softcap):
    """`[b, groups, *rows, d]` float32, of q alike; k and v `[b, groups, keys, d]`.

    The rows are the queries, `(length,)`, or where heads share a group `(shared, length)`; mask and
    bias are `[b, groups, *rows, keys]`, or less where they are the same for all.
    """
    return _attend_forward(q, k, v, mask, bias, softcap)[0]


def _attend_forward(q, k, v, mask, bias, softcap):
    scores = _from_rows(q, k)
    bent = None
    if softcap is not None:
        bent = jnp.tanh(scores / softcap)
        scores = bent * softcap
    if bias is not None:
        scores += bias.astype(jnp.float32)
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    # Of a row of -inf alone: exp(-inf - 0) = 0, and 0 / 1.
    highest = scores.max(-1, keepdims=True)
    weights = jnp.exp(scores - jnp.where(highest == -jnp.inf, 0.0, highest))
    total = weights.sum(-1, keepdims=True)
    weights = (weights / jnp.where(total == 0, 1.0, total)).astype(q.dtype)
    out = _to_rows(weights, v)
    return out, (q, k, v, weights, bent, out, bias)


def _attend_backward(softcap, saved, d_out):
    q, k, v, weights, bent, out, bias = saved
    # The sum over the keys of weights * d_weights, from shorter rows.
    overlap = (d_out * out).sum(-1, keepdims=True)
    d_out = d_out.astype(q.dtype)
    d_weights = _from_rows(d_out, v)
    d_scores = weights.astype(jnp.float32) * (d_weights - overlap)
    d_bias = None
    if bias is not None:
        alike = [i for i, size in enumerate(bias.shape) if size < d_scores.shape[i]]
        d_bias = d_scores.sum(alike, keepdims=True).astype(bias.dtype)
    if softcap is not None:
        d_scores *= 1.0 - bent * bent
    d_scores = d_scores.astype(q.dtype)
    d_q = _to_rows(d_scores, k).astype(q.dtype)
    return d_q, _over_rows(d_scores, q), _over_rows(weights, d_out), None, d_bias


_attend.defvjp(_attend_forward, _attend_backward)
