"""Relative positions as T5 has them: a number for each head and distance, added to the scores."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from bigmodel_jax import sharding


class RelativeBias(nn.Module):
    """What is added to the scores of attention, by the distance of key and query (Raffel et al. 2020).

    Distances share `num_buckets` numbers: near ones have one each, further ones one for a range that
    grows with the logarithm, and all from `max_distance` on the last. One table serves all layers of a
    stack. Parameter: embedding `[num_buckets, num_heads]`.

    Attributes:
        two_sided: keys behind the query have the second half of the buckets; else they share that of
            the query itself, for a causal mask hides them.
    """

    num_heads: int
    num_buckets: int = 32
    max_distance: int = 128
    two_sided: bool = True
    embedding_init: nn.initializers.Initializer = nn.initializers.normal(0.02)
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, length: int, positions: jax.Array | None = None) -> jax.Array:
        """Bias float32 `[1, num_heads, length, length]` of a text, or of a row that several are packed
        into: within each of them distances are those of the row.

        Args:
            length: of the text; with positions the number of keys.
            positions: `[batch, queries]` int32; the bias is then that of queries there, to keys at
                0, 1, ..., `[batch, num_heads, queries, length]`.
        """
        init = sharding.axes(self.embedding_init, None, "heads")
        shape = (self.num_buckets, self.num_heads)
        table = self.param("embedding", init, shape, self.param_dtype).astype(jnp.float32)
        if positions is not None:
            found = table[self._bucket(jnp.arange(length) - positions[..., None])]
            return jnp.moveaxis(found, -1, 1)
        # A number for each of the 2 length - 1 distances, then shifted along from row to row: gathered
        # for all pairs, the gradient would be a scatter, one addition after another on a CPU.
        values = table[self._bucket(jnp.arange(1 - length, length))].T
        wide = 2 * length
        rows = jnp.tile(jnp.pad(values, ((0, 0), (0, 1))), (1, length))[:, : length * (wide - 1)]
        return rows.reshape(self.num_heads, length, wide - 1)[None, :, :, length - 1 :]

    def _bucket(self, distance: jax.Array) -> jax.Array:
        """The row of the table for each distance, key - query."""
        count = self.num_buckets // 2 if self.two_sided else self.num_buckets
        known = jnp.asarray(buckets(count, self.max_distance))
        far = jnp.abs(distance) if self.two_sided else jnp.maximum(-distance, 0)
        found = known[jnp.minimum(far, self.max_distance)]
        return jnp.where(distance > 0, count, 0) + found if self.two_sided else found


def buckets(count: int, max_distance: int) -> np.ndarray:
    """The bucket of each distance from 0 to max_distance, int32; `count` buckets on one side.

    In float32 and in this order, as it was published: another rounding would move a distance.
    """
    near = count // 2
    distance = np.arange(max_distance + 1)
    ratio = np.maximum(distance, 1).astype(np.float32) / np.float32(near)
    growth = np.log(ratio) / np.float32(math.log(max_distance / near)) * np.float32(count - near)
    further = np.minimum(near + growth.astype(np.int32), count - 1)
    return np.where(distance < near, distance, further).astype(np.int32)
