"""Evaluates multiple choice: every example of a split once, its metrics exact over the whole split."""

from bigmodel_jax.evals import running
from bigmodel_jax.evals.bootstrap import bootstrap
from bigmodel_jax.evals.classification_metrics import calibration_error


class Evaluator(running.Runner):
    """Loss, accuracy and its 95% interval, calibration error."""

    target = "choice"

    def measure(self, outputs, labels, source):
        right = outputs.argmax(-1) == labels
        low, high = bootstrap(right)
        numbers = {"accuracy": float(right.mean()), "accuracy/low": low, "accuracy/high": high}
        return {**numbers, "ece": calibration_error(outputs.max(-1), right)}, {}
