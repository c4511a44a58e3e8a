"""Attention on TPUs: the splash kernel of jax.experimental.pallas, split over the mesh by hand.

The compiler cannot split a kernel, so each device is given its own rows and heads.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernels
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

from bigmodel_jax import sharding


def splash_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    segments: jax.Array | None,
    causal: bool,
    window: int | None,
    softcap: float | None,
    scale: float,
    interpret: bool = False,
) -> jax.Array:
    """`attention` (nn/attention.py) of lengths in multiples of 128; no general mask.

    Args:
        q, k, v: as there, of rows and heads that the mesh divides.
        interpret: run the kernel as plain JAX, on any device, for tests.
    """
    q = (q.astype(jnp.float32) * scale).astype(q.dtype)

    def local(q, k, v, segments):
        kernel = _kernel(q.shape[1], q.shape[2], causal, window, softcap, interpret)
        q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
        packed = () if segments is None else (kernels.SegmentIds(segments, segments),)
        out: Any = jax.vmap(kernel)(q, k, v, *packed)
        return out.swapaxes(1, 2)

    axis = "heads" if k.shape[2] == q.shape[2] else "groups"
    heads = sharding.spec("batch", None, "heads", None)
    groups = sharding.spec("batch", None, axis, None)
    if heads != groups:
        # The groups are whole on every device that has some of the heads.
        shared = q.shape[2] // k.shape[2]
        k, v, groups = jnp.repeat(k, shared, axis=2), jnp.repeat(v, shared, axis=2), heads
    if jax.sharding.get_abstract_mesh().empty:
        return local(q, k, v, segments)
    rows = None if segments is None else sharding.spec("batch", None)
    specs = (heads, groups, groups, rows)
    split = jax.shard_map(local, in_specs=specs, out_specs=heads, check_vma=False)
    return split(q, k, v, segments)


def _kernel(length, heads, causal, window, softcap, interpret):
    size = next(n for n in (512, 256, 128) if length % n == 0)
    blocks = kernels.BlockSizes(
        block_q=size,
        block_kv=size,
        block_q_dkv=size,
        block_kv_dkv=size,
        block_q_dq=size,
        block_kv_dq=size,
    )
    shape = (length, length)
    if window is not None:
        mask = masks.LocalMask(shape, (window - 1, 0 if causal else window - 1), 0)
    else:
        mask = masks.CausalMask(shape) if causal else masks.FullMask(shape)
    return kernels.make_splash_mha(
        mask=masks.MultiHeadMask([mask] * heads),
        block_sizes=blocks,
        attn_logits_soft_cap=softcap,
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
    )
