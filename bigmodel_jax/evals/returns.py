"""Evaluates agents: the return of whole episodes, each from a new beginning."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax.acting.playing import play
from bigmodel_jax.data.actors.gym_worlds import Worlds
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals.bootstrap import bootstrap


class Evaluator:
    """Of tasks that act, in the task's own environment of JAX or in one of gymnasium.

    The same episodes begin at each evaluation.

    Args:
        episodes: how many, side by side.
        environment: gymnasium's name, "CartPole-v1"; without it the task's own.
        workers: processes that step gymnasium's.
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
        environment: str = "",
        workers: int = 2,
        greedy: bool = True,
        seed: int = 0,
    ):
        self._environment, self._worlds, self._workers = environment, None, workers
        self._episodes, self._seed, self.details = episodes, seed, {}

        def act(variables, observation, rng):
            return task.act(variables, observation, None if greedy else rng)

        def played(variables, key):
            def choose(observation, rng):
                return act(variables, observation, rng)

            return play(task.environment, choose, episodes, key)

        if not environment and getattr(task, "environment", None) is None:
            raise UserError(
                "The evaluator 'returns' is of tasks that act in an environment: of one in JAX by config.data, "
                'or of gymnasium by its own option environment="CartPole-v1".'
            )
        self._act, self._play = jax.jit(act), jax.jit(played)

    def run(self, variables: Mapping) -> dict[str, float]:
        """{"return", "return_low", "return_high", "length"}: means, and a 95% interval of the first.

        `details` then hold "returns" [episodes], float32.
        """
        found, lengths = self._played(variables)
        low, high = bootstrap(found)
        self.details = {"episodes": len(found), "returns": np.asarray(found, np.float32)}
        means = {"return": float(found.mean()), "length": float(lengths.mean())}
        return {**means, "return_low": low, "return_high": high}

    def _played(self, variables):
        """(returns, lengths), both [episodes]."""
        key = jax.random.key(self._seed)
        if not self._environment:
            return map(np.asarray, self._play(variables, key))
        if self._worlds is None:
            self._worlds = Worlds(self._environment, self._episodes, self._workers)
        keys = (jax.random.fold_in(key, i) for i in itertools.count())

        def choose(observation):
            return np.asarray(self._act(variables, observation, next(keys)))

        return self._worlds.play(choose, range(self._seed, self._seed + self._episodes))
