"""Evaluates scores of oddity: every image of a split once, those of one class being the anomalies."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from bigmodel_jax.evals import running
from bigmodel_jax.evals.classification_metrics import roc_auc


class Evaluator(running.Runner):
    """The loss, of ordinary images, and the ROC-AUC of the scores of task anomaly."""

    output, target = "values", "number"

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
        self._anomaly = task.anomaly

    def measure(self, outputs, labels, source):
        odd = labels == self._anomaly
        means = {"ordinary": outputs[~odd].mean(), "anomaly": outputs[odd].mean()}
        numbers = {"roc_auc": roc_auc(outputs, odd), **means}
        return {name: float(value) for name, value in numbers.items()}, {}

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name: also the mean scores of "ordinary" images and of the "anomaly".

        `details` hold "values", the scores, float32 [examples], and "anomalous", bool [examples].
        """
        numbers = super().run(variables)
        labels = self.details.pop("labels")  # no number that the scores should be near
        self.details["anomalous"] = labels == self._anomaly
        return numbers
