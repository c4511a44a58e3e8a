"""Attention over a length that is split between devices: keys and values go round a ring.

Liu et al. 2023, "Ring Attention with Blockwise Transformers for Near-Infinite Context": each device keeps
its queries, and in n steps sees the keys and values of each of the n devices, so that no device ever
holds more of the scores than its queries by one device's keys. What of a causal view or a window is
out of sight is skipped.
"""

from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import sharding

NOTHING = -1e30  # a score out of sight; infinity less infinity would be no number


def ring_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    segments: jax.Array | None,
    causal: bool,
    window: int | None,
    softcap: float | None,
    scale: float,
) -> jax.Array:
    """`attention` (nn/attention.py) under a mesh and rules that split "length"; no general mask.

    Args:
        q, k, v: as there, of one length, whose rows, length and heads the mesh divides.
    """
    axis = "heads" if k.shape[2] == q.shape[2] else "groups"
    heads = sharding.spec("batch", "length", "heads", None)
    groups = sharding.spec("batch", "length", axis, None)
    if heads != groups:  # each device needs the groups of its heads
        shared = q.shape[2] // k.shape[2]
        k, v, groups = jnp.repeat(k, shared, axis=2), jnp.repeat(v, shared, axis=2), heads
    around = heads[1]
    if segments is None:
        segments = jnp.zeros(q.shape[:2], jnp.int32)

    def local(q, k, v, segments):
        return _ring(q, k, v, segments, around, causal, window, softcap, scale)

    rows = sharding.spec("batch", "length")
    specs = (heads, groups, groups, rows)
    split = jax.shard_map(local, in_specs=specs, out_specs=heads, check_vma=False)
    return split(q, k, v, segments)


def _ring(q, k, v, segments, around, causal, window, softcap, scale):
    """One device's queries against all keys, its own first."""
    (batch, length, heads, dim), groups = q.shape, k.shape[2]
    index, count = jax.lax.axis_index(around), jax.lax.axis_size(around)
    q_BGRTD = (q.astype(jnp.float32) * scale).astype(q.dtype)
    q_BGRTD = q_BGRTD.reshape(batch, length, groups, heads // groups, dim).transpose(0, 2, 3, 1, 4)
    places = jnp.arange(length)

    def look(carry, step):
        """Adds what the keys here tell, by the running maximum of Milakov and Gimelshein 2018."""
        (top, weight, total), (k, v, of_keys) = carry
        owner = (index - step) % count
        distance = (index - owner) * length + places[:, None] - places

        def seen(inputs):
            top, weight, total = inputs
            scores = jnp.einsum("bgrtd,bsgd->bgrts", q_BGRTD, k, preferred_element_type=jnp.float32)
            scores = softcap * jnp.tanh(scores / softcap) if softcap is not None else scores
            visible = segments[:, :, None] == of_keys[:, None]
            if causal:
                visible &= distance >= 0
            if window is not None:
                visible &= (distance if causal else jnp.abs(distance)) < window
            visible = visible[:, None, None]
            scores = jnp.where(visible, scores, NOTHING)
            higher = jnp.maximum(top, scores.max(-1))
            kept = jnp.exp(top - higher)
            parts = jnp.where(visible, jnp.exp(scores - higher[..., None]), 0.0)
            added = jnp.einsum(
                "bgrts,bsgd->bgrtd", parts.astype(v.dtype), v, preferred_element_type=jnp.float32
            )
            return higher, weight * kept + parts.sum(-1), total * kept[..., None] + added

        far = jnp.zeros((), bool)
        if causal:
            far |= owner > index
        if window is not None:
            far |= jnp.abs(distance).min() >= window
        found = jax.lax.cond(far, lambda x: x, seen, (top, weight, total))
        ring = [(i, (i + 1) % count) for i in range(count)]
        passed: Any = jax.tree.map(lambda x: jax.lax.ppermute(x, around, ring), (k, v, of_keys))
        return (found, passed), None

    shape = q_BGRTD.shape[:-1]
    start = (
        jnp.full(shape, NOTHING, jnp.float32),
        jnp.zeros(shape, jnp.float32),
        jnp.zeros((*shape, dim), jnp.float32),
    )
    # The backward pass sends keys round again rather than keep all that came by.
    (found, _), _ = jax.lax.scan(
        jax.checkpoint(look, prevent_cse=False), (start, (k, v, segments)), jnp.arange(count)
    )
    _, weight, total = found
    out = total / jnp.where(weight > 0, weight, 1.0)[..., None]
    return out.transpose(0, 3, 1, 2, 4).reshape(q.shape).astype(q.dtype)
