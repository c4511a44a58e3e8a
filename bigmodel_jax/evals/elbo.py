"""Evaluates a variational autoencoder: its bound over every example of a split, and how it copies."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax import grids
from bigmodel_jax.evals import loss

SHOWN = 10  # images that are copied


class Evaluator(loss.Evaluator):
    """The task's loss, the negative evidence lower bound in nats an image, and its metrics.

    "bits_per_dimension" is the loss over the number of pixels and channels, in bits. "error" is the
    mean squared error of a copy, "divergence" the part of the loss that the code costs, in nats.
    """

    def __init__(
        self,
        *,
        split: str,
        task: Any,
        open_source: Callable,
        mesh: jax.sharding.Mesh,
        batch_size: int = 256,
    ):
        given: dict[str, Any] = {"split": split, "task": task, "open_source": open_source}
        super().__init__(**given, mesh=mesh, batch_size=batch_size)
        everywhere = jax.sharding.NamedSharding(mesh, jax.P())
        self._copy = jax.jit(task.reconstruct, out_shardings=everywhere)

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name; `details` hold "picture_copies" too: images above what became of them."""
        numbers = super().run(variables)
        rows = np.arange(self._batch_size) % self.source.examples
        images = self.source.images(rows)
        copies = grids.in_bytes(np.asarray(self._copy(variables, {"image": images})))
        both = np.concatenate([images[:SHOWN], copies[:SHOWN]])
        self.details["picture_copies"] = grids.grid(both, min(SHOWN, len(images)))
        nats = numbers["loss"] / math.prod(images.shape[1:])
        return {**numbers, "bits_per_dimension": nats / math.log(2)}
