"""Cross-attention as a layer: a text looks at another, as a decoder does at what was encoded."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.nn.attention import attention
from bigmodel_jax.nn.linear import Projection

Cache = dict[str, jax.Array]


class CrossAttention(nn.Module):
    """Queries of `[batch, length, dim]` look at keys of another text: to `[batch, length, dim]`.

    Parameters and attributes: as of SelfAttention, where the kernels of key and value are
    `[memory's dim, num_heads, head_dim]`.
    """

    num_heads: int
    head_dim: int | None = None
    qkv_bias: bool = True
    out_bias: bool = True
    scale: float | None = None
    kernel_init: Callable = nn.initializers.xavier_uniform()
    query_init: Callable | None = None
    out_init: Callable = nn.initializers.xavier_uniform()
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        memory: jax.Array | None,
        mask: jax.Array | None = None,
        cache: Cache | None = None,
    ) -> tuple[jax.Array, Cache | None]:
        """The output, and the cache with the keys and values of the memory in it.

        Args:
            memory: `[batch, keys, dim]`; None takes its keys, values and mask from the cache, whose
                rows may be fewer than those of x: they then serve several of these each, one after
                another, as the beams of one source.
            mask: `[batch, 1, length, keys]` bool, True = look; with a cache `[batch, 1, 1, keys]`.
            cache: of `init_cache`.
        """
        dim = x.shape[-1]
        head_dim = self.head_dim or dim // self.num_heads
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}

        def project(name, x, init):
            y = Projection(
                (self.num_heads, head_dim),
                names=("embed", "heads", "head_dim"),
                use_bias=self.qkv_bias,
                kernel_init=init,
                name=name,
                **dtypes,
            )(x)
            return sharding.shard(y, "batch", "length", "heads", "head_dim")

        q = project("query", x, self.query_init or self.kernel_init)
        if memory is None:
            assert cache is not None
            k, v = cache["key"].swapaxes(1, 2), cache["value"].swapaxes(1, 2)
            mask = cache["mask"][:, None, None]
        else:
            k, v = (project(name, memory, self.kernel_init) for name in ("key", "value"))
            if cache is not None:
                mask = jnp.ones((*k.shape[:1], 1, 1, k.shape[1]), bool) if mask is None else mask
                found = {"key": k.swapaxes(1, 2), "value": v.swapaxes(1, 2), "mask": mask[:, 0, 0]}
                cache = {name: found[name].astype(cache[name].dtype) for name in found}
        y = attention(q.reshape(k.shape[0], -1, *q.shape[2:]), k, v, mask=mask, scale=self.scale)
        y = Projection(
            (dim,),
            in_axes=2,
            names=("heads", "head_dim", "embed"),
            use_bias=self.out_bias,
            kernel_init=self.out_init,
            name="out",
            **dtypes,
        )(y.reshape(q.shape))
        return y, cache


def init_cache(batch: int, keys: int, heads: int, head_dim: int, dtype: DTypeLike) -> Cache:
    """Room for the keys and values of a memory, `[batch, heads, keys, head_dim]`, and its mask."""
    shape = (batch, heads, keys, head_dim)
    zeros = jnp.zeros(shape, dtype)
    return {"key": zeros, "value": zeros, "mask": jnp.zeros((batch, keys), bool)}
