"""Self-attention as a layer: projections, norms and positions of queries and keys, and a cache."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.nn.attention import attention
from bigmodel_jax.nn.linear import Projection
from bigmodel_jax.nn.norm import RMSNorm
from bigmodel_jax.nn.positions import rotate

Cache = dict[str, jax.Array]


class SelfAttention(nn.Module):
    """Multi-head self-attention: `[batch, length, dim]` to the same, in `dtype`.

    Parameters: query/kernel `[dim, num_heads, head_dim]`, key/kernel and value/kernel
    `[dim, num_groups, head_dim]`, out/kernel `[num_heads, head_dim, dim]`; biases of their last
    axes; query_norm/scale and key_norm/scale `[head_dim]`.

    Attributes:
        num_groups: of heads that share a key and a value; None is one for each head.
        head_dim: None is dim / num_heads.
        causal: a token sees itself and what came before.
        qk_norm_epsilon: of an RMSNorm of each query and key (Henry et al. 2020); None is no norm.
        softcap, scale: of the scores, see `attention`.
        query_init: initialiser of query's kernel; None is that of key and value.
        out_init: initialiser of out's kernel.
    """

    num_heads: int
    num_groups: int | None = None
    head_dim: int | None = None
    causal: bool = False
    qkv_bias: bool = True
    out_bias: bool = True
    qk_norm_epsilon: float | None = None
    softcap: float | None = None
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
        mask: jax.Array | None = None,
        *,
        segments: jax.Array | None = None,
        rotation: tuple[jax.Array, jax.Array] | None = None,
        window: int | jax.Array | None = None,
        bias: jax.Array | None = None,
        positions: jax.Array | None = None,
        cache: Cache | None = None,
    ) -> tuple[jax.Array, Cache | None]:
        """The output, and the cache with these tokens in it.

        Args:
            mask, segments, window: which token sees which, see `attention`; with a cache only the
                window.
            rotation: rotary positions (nn/positions.py).
            bias: of the scores, see `attention`.
            positions: `[batch, length]` int32; with a cache alone, which is `init_cache`'s.
        """
        dim, groups = x.shape[-1], self.num_groups or self.num_heads
        if self.head_dim is None and dim % self.num_heads:
            raise UserError(f"A width of {dim} does not divide into {self.num_heads} heads.")
        if self.num_heads % groups:
            raise UserError(f"{self.num_heads} heads do not divide into {groups} groups.")
        head_dim = self.head_dim or dim // self.num_heads
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}

        def project(name, heads, axis, init=self.kernel_init):
            y = Projection(
                (heads, head_dim),
                names=("embed", axis, "head_dim"),
                use_bias=self.qkv_bias,
                kernel_init=init,
                name=name,
                **dtypes,
            )(x)
            return sharding.shard(y, "batch", "length", axis, "head_dim")

        axis = "heads" if groups == self.num_heads else "groups"
        q = project("query", self.num_heads, "heads", self.query_init or self.kernel_init)
        k, v = project("key", groups, axis), project("value", groups, axis)
        if self.qk_norm_epsilon is not None:
            fields: dict[str, Any] = {"epsilon": self.qk_norm_epsilon, "axis": "head_dim", **dtypes}
            q, k = RMSNorm(name="query_norm", **fields)(q), RMSNorm(name="key_norm", **fields)(k)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        scores: dict[str, Any] = {"bias": bias, "softcap": self.softcap, "scale": self.scale}
        if cache is None:
            scores |= {"causal": self.causal, "segments": segments, "window": window}
            y = attention(q, k, v, mask=mask, **scores)
        else:
            cache, look = _store(cache, k, v, positions, window)
            k, v = cache["key"].swapaxes(1, 2), cache["value"].swapaxes(1, 2)
            y = attention(q, k, v, mask=look, **scores)
        y = Projection(
            (dim,),
            in_axes=2,
            names=("heads", "head_dim", "embed"),
            use_bias=self.out_bias,
            kernel_init=self.out_init,
            name="out",
            **dtypes,
        )(y)
        return y, cache


def init_cache(batch: int, length: int, groups: int, head_dim: int, dtype: DTypeLike) -> Cache:
    """Room for the keys and values of `length` positions: zeros `[batch, groups, length, head_dim]`.

    The groups come before the positions, so that a CPU's attention reads it as it lies.
    """
    shape = (batch, groups, length, head_dim)
    return {"key": jnp.zeros(shape, dtype), "value": jnp.zeros(shape, dtype)}


def _store(cache, k, v, positions, window):
    """The cache with k and v `[batch, length, groups, head_dim]` at their positions, and the mask.

    A token sees the slots up to its own, so that what lies behind them, of padding or of an earlier
    text, is written over before it is ever seen. A position beyond the cache is not written.
    """
    rows = jnp.arange(k.shape[0])[:, None]
    cache = {
        "key": cache["key"].at[rows, :, positions].set(k.astype(cache["key"].dtype)),
        "value": cache["value"].at[rows, :, positions].set(v.astype(cache["value"].dtype)),
    }
    distance = positions[..., None] - jnp.arange(cache["key"].shape[2])
    look = distance >= 0
    if window is not None:
        look &= distance < window
    return cache, look[:, None]
