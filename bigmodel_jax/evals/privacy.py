"""What a private run has spent: epsilon at its delta (tasks/private.py). It looks at no data."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from bigmodel_jax.errors import UserError


class Evaluator:
    """Of the task `private` alone."""

    def __init__(self, *, task: Any, open_source: Callable, mesh: jax.sharding.Mesh):
        if not hasattr(task, "epsilon"):
            raise UserError("The evaluator 'privacy' is of config.task private: leave it out.")
        self._task = task

    def run(self, variables: Mapping) -> dict[str, float]:
        """{"epsilon", "delta"} of the steps that led to `variables`."""
        return {"epsilon": self._task.epsilon(variables), "delta": self._task.delta}
