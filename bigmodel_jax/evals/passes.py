"""What all evaluators share: one pass over a split, each example once."""

import abc
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from bigmodel_jax import sharding
from bigmodel_jax.data.prefetch import Prefetch
from bigmodel_jax.errors import UserError


class Pass(abc.ABC):
    """Goes through a split; a subclass says what is computed of a batch, and makes numbers of it.

    A subclass has `compute(task, variables, batch)`, which is jitted; an evaluator also `run(variables)
    -> numbers by name`; where it judges one kind of label only, also that `target`.

    Args:
        split: a name from config.data.splits, or a slice such as "test[:100]".
        batch_size: of evaluation, raised to a multiple of the devices that share a batch; it
            changes no number.
        task: has `predict` and `loss`.
        open_source: `(*, split, batch_size) -> Source`, in one order, each example once an epoch.
        mesh: where to run.

    Attributes:
        details: what the last run found besides numbers.
    """

    target: str | None = None

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
        if self.target not in (None, given):
            raise UserError(
                f"An evaluator of {split!r} in config.evals judges the target {self.target!r}, but the "
                f"task's is {given!r}, for which there is dict(name={task.evaluator!r})."
            )
        everywhere = jax.sharding.NamedSharding(mesh, jax.P())

        def computed(variables, batch):
            return self.compute(task, variables, batch)

        self._computed = jax.jit(computed, out_shardings=everywhere)
        self.details: dict[str, Any] = {}

    @property
    def source(self):
        """Opened at first use: the test split of a run that never ends is never read."""
        if self._source is None:
            self._source = self._open(split=self._split, batch_size=self._batch_size)
        return self._source

    def share(self, other: "Pass") -> None:
        """Takes the program of an evaluator of the same split and task, so that nothing is compiled twice."""
        self._computed = other._computed

    @abc.abstractmethod
    def compute(self, task: Any, variables: Mapping, batch: Any) -> Any:
        """A pytree of arrays."""

    def results(self, variables: Mapping) -> Iterator[tuple[int, Any]]:
        """(step, what `compute` gives, on the host) of every batch."""
        source, waiting = self.source, deque()

        def place(batch):
            return sharding.put(batch, self._mesh)

        with Prefetch(source.batch, place, 0, source.steps_per_epoch) as batches:
            for step, batch in enumerate(batches):
                waiting.append((step, self._computed(variables, batch)))
                if len(waiting) > 2:  # keep the device busy, but no more than three batches on it
                    yield _fetched(*waiting.popleft())
            while waiting:
                yield _fetched(*waiting.popleft())


def _fetched(step, result):
    return step, jax.device_get(result)
