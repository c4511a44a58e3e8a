"""Attention: one function for all models, over the form that suits the device.

    attention(q, k, v, mask=mask)               sees where the mask is True
    attention(q, k, v, causal=True)             sees itself and what came before
    attention(q, k, v, segments=segments)       sees its own document in a packed row

On a GPU it is cuDNN's flash attention through jax.nn.dot_product_attention, on a TPU the splash
kernel (nn/splash_attention.py). What those do not do, and every other device, has it written out
(nn/written_attention.py). Where the mesh splits the length, keys and values go round a ring of its parts
(nn/ring_attention.py); under a mask or a bias, which rings do not do, they are gathered whole.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.nn.ring_attention import ring_attention
from bigmodel_jax.nn.written_attention import written_attention

Form = Literal["cudnn", "ring", "splash", "written"]


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    mask: jax.Array | None = None,
    causal: bool = False,
    segments: jax.Array | None = None,
    window: int | jax.Array | None = None,
    bias: jax.Array | None = None,
    softcap: float | None = None,
    scale: float | None = None,
) -> jax.Array:
    """Scaled dot-product attention (Vaswani et al. 2017), of grouped queries (Ainslie et al. 2023).

    The operands of products have the dtype of q; sums and the softmax are float32. A query that may
    see nothing gives zeros. What k and v hold where nobody looks must still be finite. What limits
    the view adds up: a key is seen if all of mask, causal, segments and window let it.

    Args:
        q: `[batch, length, heads, head_dim]`.
        k: `[batch, keys, groups, head_dim]`, where the groups divide the heads: query head i reads
            group i // (heads / groups).
        v: as k.
        mask: `[batch, heads, length, keys]` bool, True = look; every axis but the last may be 1.
        causal: query i sees the keys up to i only (both have one length then).
        segments: `[batch, length]` int32, for q and k alike: a query sees its own segment.
        window: a query sees the keys less than `window` away (Mistral's and Hugging Face's count:
            itself is one of them). An array, one for all rows, where it differs between scanned
            layers; then, as with a mask or segments, no kernel skips what is out of sight.
        bias: is added to the scores (nn/relative.py), `[batch, heads, length, keys]` float32, where the
            first axis may be 1. No fused kernel is taken then.
        softcap: scores become softcap * tanh(scores / softcap) (Gemma 2), before the bias.
        scale: of the scores; None is head_dim ** -0.5.

    Returns:
        `[batch, length, heads, head_dim]`, in q's dtype.
    """
    scale = float(q.shape[-1] ** -0.5) if scale is None else scale
    varying = mask is not None or isinstance(window, jax.Array)
    dense = varying or segments is not None or (window is not None and not causal)
    form = choose(
        sharding.platform(),
        q.shape,
        k.shape,
        q.dtype,
        varying=varying,
        dense=dense,
        softcap=softcap is not None,
        whole=_whole(q.shape, k.shape),
        ring=_ring(q.shape, k.shape),
    )
    if bias is not None:
        form = "written"
    if form == "ring":
        assert not isinstance(window, jax.Array)
        return ring_attention(q, k, v, segments, causal, window, softcap, scale)
    if form == "splash":
        assert not isinstance(window, jax.Array)
        # Pallas takes half a second to import, which other devices need not wait for.
        from bigmodel_jax.nn.splash_attention import splash_attention

        return splash_attention(q, k, v, segments, causal, window, softcap, scale)
    if form == "cudnn" and not dense:
        return flash_attention(q, k, v, None, causal, window, scale)
    look = visible(q.shape[1], k.shape[1], mask, causal, segments, window)
    if form == "cudnn":
        return flash_attention(q, k, v, look, False, None, scale)
    return written_attention(q, k, v, look, softcap, scale, bias)


def choose(
    backend: str,
    q_shape: tuple[int, ...],
    k_shape: tuple[int, ...],
    dtype: DTypeLike,
    varying: bool,
    dense: bool,
    softcap: bool,
    whole: bool,
    ring: bool,
) -> Form:
    """The form of attention for a device; shapes as `attention` has them.

    cuDNN wants 16-bit floats, heads of up to 128 dimensions in eights and, under a mask, even
    lengths; it knows no softcap. One query, in decoding, is better off without it. The TPU's kernel
    wants self-attention in blocks of 128.

    Args:
        varying: the view is limited by a mask, or by a window that is known only at run time.
        dense: it is limited by something that cuDNN takes as a mask.
        softcap: there is one.
        whole: each device of the mesh has whole texts and whole heads.
        ring: the mesh splits texts, into equal parts.
    """
    (_, length, _, head_dim), keys = q_shape, k_shape[1]
    if ring and length == keys and not varying:
        return "ring"
    if backend == "gpu" and not softcap:
        small = jnp.dtype(dtype) in (jnp.bfloat16, jnp.float16)
        fits = head_dim <= 128 and head_dim % 8 == 0 and length > 1
        even = not dense or (length % 2 == 0 and keys % 2 == 0)
        if small and fits and even:
            return "cudnn"
    blocks = length == keys and length % 128 == 0 and head_dim % 64 == 0
    if backend == "tpu" and blocks and whole and not varying:
        return "splash"
    return "written"


def _whole(q_shape, k_shape):
    return _even(q_shape, k_shape) and sharding.parts("length") == 1


def _ring(q_shape, k_shape):
    count = sharding.parts("length")
    return _even(q_shape, k_shape) and count > 1 and q_shape[1] % count == 0


def _even(q_shape, k_shape):
    counts = {"batch": q_shape[0], "heads": q_shape[2], "groups": k_shape[2]}
    return all(count % sharding.parts(axis) == 0 for axis, count in counts.items())


def visible(length, keys, mask, causal, segments, window) -> jax.Array | None:
    """All that limits the view as one mask, as `attention` takes it; None where nothing does."""
    parts = [] if mask is None else [mask]
    if causal or window is not None:
        distance = jnp.arange(length)[:, None] - jnp.arange(keys)
        if causal:
            parts.append((distance >= 0)[None, None])
        if window is not None:
            distance = distance if causal else jnp.abs(distance)
            parts.append((distance < window)[None, None])
    if segments is not None:
        parts.append(segments[:, None, :, None] == segments[:, None, None, :])
    look = parts[0] if parts else None
    for part in parts[1:]:
        look = look & part
    return look


def flash_attention(
    q, k, v, mask, causal, window, scale, implementation: Literal["cudnn", "xla"] = "cudnn"
):
    """JAX's own, which gives a query that may see nothing the mean of all values instead of 0."""
    if mask is not None:
        shape = (mask.shape[0], mask.shape[1], q.shape[1], k.shape[1])
        mask = jnp.broadcast_to(mask, shape)
    out = jax.nn.dot_product_attention(
        q,
        k,
        v,
        mask=mask,
        scale=scale,
        is_causal=causal,
        local_window_size=None if window is None else (window - 1, 0),
        implementation=implementation,
    )
    if mask is None:
        return out
    return jnp.where(mask.any(-1).swapaxes(1, 2)[..., None], out, jnp.zeros_like(out))
