"""Evaluates a classifier: every example of a split once, its metrics exact over the whole split."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.data.prefetch import Prefetch
from bigmodel_jax.evals import classification_metrics


class Evaluator:
    """Numbers from variables: loss, accuracy, precision, recall, F1, ROC-AUC, confusion matrix.

    Args:
        split: a name from config.data.splits, or a slice such as "test[:100]".
        batch_size: of evaluation, raised to a multiple of the devices that share a batch; it
            changes no number.
        task: has `predict` and `loss`.
        open_source: `(*, split, batch_size) -> Source`, in one order, each example once an epoch.
        mesh: where to run.
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
        self._split, self._mesh, self._open = split, mesh, open_source
        rows = mesh.shape["data"] * mesh.shape["fsdp"]
        self._batch_size = -(-batch_size // rows) * rows
        self._source: Any = None

        def scores(variables, batch):
            value, _ = task.loss(variables, batch, jax.random.key(0), train=False)
            return task.predict(variables, batch)["probabilities"], value

        self._scores = jax.jit(scores, out_shardings=jax.sharding.NamedSharding(mesh, jax.P()))
        self.details: dict[str, Any] = {}

    @property
    def source(self):
        """Opened at first use: the test split of a run that never ends is never read."""
        if self._source is None:
            self._source = self._open(split=self._split, batch_size=self._batch_size)
        return self._source

    def run(self, variables: Mapping) -> dict[str, float]:
        """Metrics by name. `details` then holds the confusion matrix and the scores."""
        source = self.source
        count = source.steps_per_epoch
        outputs = []
        with Prefetch(source.batch, lambda b: sharding.put(b, self._mesh), 0, count) as batches:
            for i, batch in enumerate(batches):
                outputs.append(self._scores(variables, batch))
                if i >= 2:  # keep the device busy, but no more than three batches on it
                    outputs[i - 2] = jax.device_get(outputs[i - 2])
        probabilities, losses = zip(*jax.device_get(outputs), strict=True)
        # Every process knows the order of the whole batch, so labels need no gathering.
        index = np.concatenate([source.rows(i) for i in range(count)])
        ordered = np.zeros((source.examples, probabilities[0].shape[-1]))
        ordered[index[index >= 0]] = np.concatenate(probabilities)[index >= 0]
        labels = np.asarray(source.labels)
        total = sum(float(x.total) for x in losses)
        weight = sum(float(x.weight) for x in losses)
        numbers, confusion = classification_metrics.compute(ordered, labels, source.label_names)
        self.details = {
            "examples": len(labels),
            "label_names": list(source.label_names),
            "confusion_matrix": confusion.tolist(),
            "probabilities": ordered,
        }
        return {"loss": total / weight, **numbers}
