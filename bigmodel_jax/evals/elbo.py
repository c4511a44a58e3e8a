"""Evaluates a variational autoencoder: its bound over every example of a split, and how it copies."""

import math
from collections.abc import Mapping

from bigmodel_jax.evals.copies import Copies


class Evaluator(Copies):
    """The task's loss, the negative evidence lower bound in nats an image, and its metrics.

    "bits_per_dimension" is the loss over the number of pixels and channels, in bits. "error" is the
    mean squared error of a copy, "divergence" the part of the loss that the code costs, in nats.
    """

    def run(self, variables: Mapping) -> dict[str, float]:
        numbers = super().run(variables)
        dimensions = math.prod(self.source.peek()["image"].shape[1:])
        return {**numbers, "bits_per_dimension": numbers["loss"] / dimensions / math.log(2)}
