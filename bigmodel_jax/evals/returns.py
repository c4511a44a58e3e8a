"""Evaluates agents: the return of whole episodes, each from a new beginning."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax.acting.playing import play
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals.bootstrap import bootstrap


class Evaluator:
    """Of tasks that act in an environment of JAX.

    The same episodes begin at each evaluation, and those with no randomness of their own go on the same.

    Args:
        episodes: how many, side by side.
        greedy: take the likeliest action, instead of drawing one.
        seed: of the beginnings.
    """

    def __init__(
        self,
        *,
        task: Any,
        open_source: Callable,
        mesh: jax.sharding.Mesh,
        episodes: int = 100,
        greedy: bool = True,
        seed: int = 0,
    ):
        if getattr(task, "environment", None) is None:
            raise UserError(
                "The evaluator 'returns' is of tasks that act in an environment of JAX."
            )
        self._key = jax.random.key(seed)

        def played(variables, key):
            def choose(observation, rng):
                return task.act(variables, observation, None if greedy else rng)

            return play(task.environment, choose, episodes, key)

        self._play = jax.jit(played)
        self.details: dict[str, Any] = {}

    def run(self, variables: Mapping) -> dict[str, float]:
        """{"return", "return_low", "return_high", "length"}: means, and a 95% interval of the first.

        `details` then hold "returns" [episodes], float32.
        """
        found, lengths = map(np.asarray, self._play(variables, self._key))
        low, high = bootstrap(found)
        self.details = {"episodes": len(found), "returns": found}
        means = {"return": float(found.mean()), "length": float(lengths.mean())}
        return {**means, "return_low": low, "return_high": high}
