"""What evaluators of autoencoders share: the task's numbers, and a picture of copies."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax import grids
from bigmodel_jax.evals import loss

SHOWN = 10


class Copies(loss.Evaluator):
    """The task's own loss and metrics; `details` hold "picture_copies", images above what became of them."""

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
        everywhere = jax.sharding.NamedSharding(mesh, jax.P())
        self._copy = jax.jit(task.reconstruct, out_shardings=everywhere)

    def run(self, variables: Mapping) -> dict[str, float]:
        numbers = super().run(variables)
        rows = np.arange(self._batch_size) % self.source.examples
        images = self.source.images(rows)
        copies = grids.in_bytes(np.asarray(self._copy(variables, {"image": images})))
        both = np.concatenate([images[:SHOWN], copies[:SHOWN]])
        self.details["picture_copies"] = grids.grid(both, min(SHOWN, len(images)))
        return numbers
