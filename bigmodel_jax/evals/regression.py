"""Evaluates a regression: every example of a split once, its metrics exact over the whole split."""

from bigmodel_jax.evals import regression_metrics, running


class Evaluator(running.Runner):
    """Loss (the task's, of standardised targets); errors in the target's unit, and correlations."""

    output, target = "values", "number"

    def measure(self, outputs, labels, source):
        return regression_metrics.compute(outputs, labels), {}
