"""What evaluators of labels share: a task's outputs for every example of a split, in the data's order."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from bigmodel_jax.evals import slices as cutting
from bigmodel_jax.evals.passes import Pass


class Runner(Pass):
    """Runs `task.predict` and `task.loss` over a split; evaluators turn the outputs into numbers.

    A subclass sets `output`, a key of what `predict` returns, and `target`, the kind of label it can
    judge; and it has `measure(outputs, labels, source) -> (numbers, details)`.

    Args:
        slices: fields of an example, such as "length" and "label"; `details` then say of the parts of
            the split that they make how good the model is there, "by FIELD"; see evals/slices.py.
        split, task, open_source, mesh, batch_size: as of Pass.
    """

    output = "probabilities"
    target = "class"

    def __init__(
        self,
        *,
        split: str,
        task: Any,
        open_source: Callable,
        mesh: jax.sharding.Mesh,
        batch_size: int = 256,
        slices: Sequence[str] = (),
    ):
        self._slices = (slices,) if isinstance(slices, str) else tuple(slices)
        given: dict[str, Any] = {"split": split, "task": task, "open_source": open_source}
        super().__init__(**given, mesh=mesh, batch_size=batch_size)

    def compute(self, task, variables, batch):
        value, _ = task.loss(variables, batch, jax.random.key(0), train=False)
        return task.predict(variables, batch)[self.output], value

    @abc.abstractmethod
    def measure(
        self, outputs: np.ndarray, labels: np.ndarray, source: Any
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """(numbers by name, details of this kind of target) of outputs [examples, ...]."""

    def run(self, variables: Mapping) -> dict[str, float]:
        """Metrics by name; "loss" is the task's.

        `details` then holds what JSON can (examples, label_names, ...), and the arrays `output`
        [examples, ...] float32, "labels" [examples, ...] and "lengths" [examples] int32, the tokens
        that the model saw.
        """
        self.details = {}  # of the evaluation before, whose outputs may be gigabytes
        outputs, loss = self._outputs(variables)
        labels = np.asarray(self.source.labels)
        numbers, details = self.measure(outputs, labels, self.source)
        self.details = {
            "examples": len(labels),
            "label_names": list(self.source.label_names),
            **details,
            self.output: outputs,
            "labels": labels,
        }
        if hasattr(self.source, "lengths"):
            self.details["lengths"] = np.asarray(self.source.lengths, np.int32)
        self.details |= cutting.table(self._slices, self.details, self.source)
        return {"loss": loss, **numbers}

    def _outputs(self, variables):
        """(outputs in the data's order, the mean loss)."""
        ordered, total, weight = np.zeros(0), 0.0, 0.0
        for step, (rows, value) in self.results(variables):
            if not ordered.size:
                ordered = np.zeros((self.source.examples, *rows.shape[1:]), np.float32)
            # Every process knows the order of the whole batch, so labels need no gathering.
            index = self.source.rows(step)
            ordered[index[index >= 0]] = rows[index >= 0]
            total, weight = total + float(value.total), weight + float(value.weight)
        return ordered, total / weight
