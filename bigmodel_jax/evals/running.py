"""What evaluators share: a task's outputs for every example of a split, once, in the data's order."""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.data.prefetch import Prefetch
from bigmodel_jax.errors import UserError


class Runner(abc.ABC):
    """Runs `task.predict` and `task.loss` over a split; evaluators turn the outputs into numbers.

    A subclass sets `output`, a key of what `predict` returns, and `target`, the kind of label it can
    judge; and it has `measure(outputs, labels, source) -> (numbers, details)`.

    Args:
        split: a name from config.data.splits, or a slice such as "test[:100]".
        batch_size: of evaluation, raised to a multiple of the devices that share a batch; it
            changes no number.
        task: has `predict` and `loss`.
        open_source: `(*, split, batch_size) -> Source`, in one order, each example once an epoch.
        mesh: where to run.
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
    ):
        self._split, self._mesh, self._open = split, mesh, open_source
        rows = mesh.shape["data"] * mesh.shape["fsdp"]
        self._batch_size = -(-batch_size // rows) * rows
        self._source: Any = None
        given = getattr(task, "target", self.target)
        if given != self.target:
            raise UserError(
                f"An evaluator of {split!r} in config.evals judges the target {self.target!r}, but the "
                f"task's is {given!r}, for which there is dict(name={task.evaluator!r})."
            )

        def scores(variables, batch):
            value, _ = task.loss(variables, batch, jax.random.key(0), train=False)
            return task.predict(variables, batch)[self.output], value

        self._scores = jax.jit(scores, out_shardings=jax.sharding.NamedSharding(mesh, jax.P()))
        self.details: dict[str, Any] = {}

    @property
    def source(self):
        """Opened at first use: the test split of a run that never ends is never read."""
        if self._source is None:
            self._source = self._open(split=self._split, batch_size=self._batch_size)
        return self._source

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
        return {"loss": loss, **numbers}

    def _outputs(self, variables):
        """(outputs in the data's order, the mean loss)."""
        source, waiting = self.source, []
        ordered, total, weight = np.zeros(0), 0.0, 0.0

        def fetch():
            nonlocal ordered, total, weight
            step, scored = waiting.pop(0)
            rows, value = jax.device_get(scored)
            if not ordered.size:
                ordered = np.zeros((source.examples, *rows.shape[1:]), np.float32)
            # Every process knows the order of the whole batch, so labels need no gathering.
            index = source.rows(step)
            ordered[index[index >= 0]] = rows[index >= 0]
            total, weight = total + float(value.total), weight + float(value.weight)

        count = source.steps_per_epoch
        with Prefetch(source.batch, lambda b: sharding.put(b, self._mesh), 0, count) as batches:
            for step, batch in enumerate(batches):
                waiting.append((step, self._scores(variables, batch)))
                if len(waiting) > 2:  # keep the device busy, but no more than three batches on it
                    fetch()
            while waiting:
                fetch()
        return ordered, total / weight
