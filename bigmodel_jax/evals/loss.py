"""Evaluates any task by its own loss: over every example of a split, once."""

from collections.abc import Mapping

import jax

from bigmodel_jax.evals.passes import Pass
from bigmodel_jax.metrics import Sums


class Evaluator(Pass):
    """The task's own loss and metrics, exact over a whole split."""

    def compute(self, task, variables, batch):
        value, aux = task.loss(variables, batch, jax.random.key(0), train=False)
        return {"loss": value, **aux.metrics}

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name; `details` then says of how many examples."""
        self.details = {"examples": self.source.examples}
        return self.sums(variables).means()

    def sums(self, variables: Mapping) -> Sums:
        """Totals and weights of the metrics over the split."""
        sums = Sums()
        for _, row in self.results(variables):
            sums.add(row)
        return sums
