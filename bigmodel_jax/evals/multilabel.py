"""Evaluates a multi-label classifier: every example of a split once, exact over the whole split."""

from bigmodel_jax.evals import multilabel_metrics, running


class Evaluator(running.Runner):
    """Loss, F1, subset accuracy, mean average precision, ROC-AUC."""

    target = "labels"

    def measure(self, outputs, labels, source):
        return multilabel_metrics.compute(outputs, labels, source.label_names), {}
