"""Evaluates an autoencoder of codes out of a few: how it copies, how many codes it uses, and their prior."""

from collections.abc import Mapping

import numpy as np

from bigmodel_jax.evals.copies import Copies


class Evaluator(Copies):
    """The task's loss and metrics; of a whole split "perplexity", and "used", how many codes occur.

    "error" is the mean squared error of a copy, "prior" what the prior needs for a code, in nats.
    """

    def compute(self, task, variables, batch):
        counts = task.counts(task.encode(variables, batch), batch["valid"])
        return {**super().compute(task, variables, batch), "counts": counts}

    def sums(self, variables: Mapping):
        self._counts = np.zeros(1)  # of each code
        return super().sums(variables)

    def results(self, variables: Mapping):
        for step, row in super().results(variables):
            self._counts = self._counts + np.asarray(row.pop("counts"), np.float64)
            yield step, row

    def run(self, variables: Mapping) -> dict[str, float]:
        numbers = super().run(variables)
        shares = self._counts[self._counts > 0] / self._counts.sum()
        numbers["perplexity"] = float(np.exp(-(shares * np.log(shares)).sum()))
        numbers["used"] = float(len(shares))
        del numbers["unused"]  # of a batch, whose size it depends on
        return numbers
