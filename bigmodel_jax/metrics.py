"""Metrics are weighted means, kept as sums until they are read.

Sums merge exactly over micro-batches, steps, hosts and padded batches; a mean of means would not.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Mean(NamedTuple):
    """A mean in the making: adding two field by field merges them."""

    total: jax.Array
    weight: jax.Array


Metrics = dict[str, Mean]


def mean(values, where=None) -> Mean:
    """The mean of `values` over the elements that `where` (broadcast, bool or weights) counts."""
    values = jnp.asarray(values, jnp.float32)
    weight = jnp.ones((), jnp.float32) if where is None else jnp.asarray(where, jnp.float32)
    weight = jnp.broadcast_to(weight, values.shape)
    # A padding row may hold anything, NaN included: it must not leak through 0 * NaN.
    return Mean((jnp.where(weight > 0, values, 0.0) * weight).sum(), weight.sum())


class Sums:
    """Running sums on the host, in float64, of the metrics of any number of steps.

    `to_json` and `from_json` carry a window that a checkpoint cut in two, so that a resumed run logs
    the same numbers as one that was never stopped.
    """

    def __init__(self, sums: Mapping[str, tuple[float, float]] | None = None):
        self.sums = dict(sums or {})

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds fetched metrics; fields may carry a leading axis of k steps."""
        for name, (total, weight) in row.items():
            old_total, old_weight = self.sums.get(name, (0.0, 0.0))
            new_total = float(np.sum(np.asarray(total), dtype=np.float64))
            new_weight = float(np.sum(np.asarray(weight), dtype=np.float64))
            self.sums[name] = (old_total + new_total, old_weight + new_weight)

    def means(self) -> dict[str, float]:
        """One number per name; names that no step contributed to are left out."""
        return {name: total / weight for name, (total, weight) in self.sums.items() if weight}

    def to_json(self) -> dict[str, list[float]]:
        return {name: list(pair) for name, pair in self.sums.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, list[float]]) -> "Sums":
        return cls({name: (pair[0], pair[1]) for name, pair in data.items()})
