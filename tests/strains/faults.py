"""What a config may get wrong so that its numbers never come again: for the laws to find."""

import itertools
import time

import numpy as np

from bigmodel_jax.evals import loss
from bigmodel_jax.metrics import Mean
from tests.strains import batch_norm, toy_data

_CALLS = itertools.count()


class Source(toy_data.Source):
    """Its batches depend on how many there were before in this process."""

    def batch(self, step):
        rows = super().batch(step)
        return {**rows, "x": rows["x"] + np.float32(0.01 * next(_CALLS))}


class Task(batch_norm.Task):
    """Its loss depends on when it is compiled."""

    def loss(self, variables, batch, rng, *, train):
        value, aux = super().loss(variables, batch, rng, train=train)
        return Mean(value.total * (1 + time.time_ns() % 1000 / 1000), value.weight), aux


class Evaluator(loss.Evaluator):
    """A mean of the means of batches: those of a short last batch count for more."""

    def run(self, variables):
        means = [row["loss"].total / row["loss"].weight for _, row in self.results(variables)]
        return {"loss": float(np.mean(means))}
