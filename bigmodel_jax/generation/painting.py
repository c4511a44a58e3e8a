"""Any number of images of a generative task, some at a time, so that one compiled program does."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax import grids
from bigmodel_jax.errors import UserError

AT_ONCE = 100


class Painter:
    """Of a task that has `paint` and `sample` (tasks/generative.py), on a mesh.

    Raises:
        UserError: the task paints nothing.
    """

    def __init__(self, task: Any, mesh: jax.sharding.Mesh):
        if not hasattr(task, "paint"):
            raise UserError(
                f"The task {type(task).__module__.rpartition('.')[2]!r} paints no images: there is "
                "nothing to draw a sample of."
            )
        everywhere = jax.sharding.NamedSharding(mesh, jax.P())
        self._rows = mesh.shape["data"] * mesh.shape["fsdp"]
        self._paint = jax.jit(task.paint, out_shardings=everywhere)
        self._sample = jax.jit(task.sample, out_shardings=everywhere)

    def paint(self, variables: Mapping, noise: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """uint8 `[images, height, width, channels]` of noise `[images, ...]` and labels `[images]`."""
        parts = [
            grids.in_bytes(np.asarray(self._paint(variables, noise[rows], labels[rows])))
            for rows in self._slices(len(labels))
        ]
        return np.concatenate(parts)[: len(labels)]

    def sample(self, variables: Mapping, labels: np.ndarray, seed: int) -> np.ndarray:
        """The same of drawn noise; what is drawn for the first labels does not change with their number."""
        parts = []
        for i, rows in enumerate(self._slices(len(labels))):
            key = jax.random.fold_in(jax.random.key(seed), i)
            parts.append(grids.in_bytes(np.asarray(self._sample(variables, key, labels[rows]))))
        return np.concatenate(parts)[: len(labels)]

    def _slices(self, count: int) -> Iterator[np.ndarray]:
        """Which of `count` are painted together, always as many; the last are repeated."""
        size = self._rows * math.ceil(AT_ONCE / self._rows)
        for start in range(0, count, size):
            yield np.minimum(np.arange(start, start + size), count - 1)
