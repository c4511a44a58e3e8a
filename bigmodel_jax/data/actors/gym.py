"""Acts in environments of gymnasium, which worker processes step while the newest policy chooses.

Their state cannot be saved: a run that goes on begins all episodes anew, from seeds of its own, and so is
no longer, bit for bit, the one that would never have stopped. That of an environment in JAX is (data/acting.py).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax.data.actors import gym_worlds
from bigmodel_jax.errors import UserError


class Actor:
    """Transitions `[number, length, ...]` a step, with the keys of acting/worlds.move.

    Args:
        environment: gymnasium's name, "CartPole-v1".
        number: of environments side by side.
        length: steps in each between two updates.
        workers: processes that they are shared out to.
    """

    examples, steps_per_epoch = 0, 1

    def __init__(
        self,
        *,
        environment: str,
        number: int = 8,
        length: int = 128,
        workers: int = 2,
        seed: int = 0,
    ):
        if jax.process_count() > 1:
            raise UserError("config.actor 'gym' acts in one process: start no others.")
        self.environment, self.number, self.length = environment, number, length
        self.batch_size, self._workers, self._seed = number * length, workers, seed
        self.spaces = gym_worlds.spaces(environment)
        sizes = {k: getattr(self.spaces, k) for k in ("num_actions", "action_size")}
        self.info = {k: v for k, v in sizes.items() if v is not None}
        self._worlds: gym_worlds.Worlds | None = None
        self._begun = 0  # how often a process has begun to act, this one included

    def peek(self) -> dict[str, np.ndarray]:
        return {"observation": np.zeros((self.number, *self.spaces.shape), np.float32)}

    @classmethod
    def example(cls, spec: Mapping, rows: int) -> dict[str, np.ndarray]:
        """Observations of `rows` environments."""
        shape = gym_worlds.spaces(spec["environment"]).shape
        return {"observation": np.zeros((rows, *shape), np.float32)}

    def collect(self, act: Callable, variables: Mapping, step: int) -> dict[str, np.ndarray]:
        """Acts `length` times in each environment, with the randomness of (seed, step)."""
        if self._worlds is None:
            self._begin()
        assert self._worlds is not None
        keys = jax.random.split(
            jax.random.fold_in(jax.random.key(self._seed + 1), step), self.length
        )
        rows: list[dict[str, Any]] = []
        for key in keys:
            seen = self._seen
            action = np.asarray(act(variables, seen, key))
            moves = self._worlds.step(action)
            self._total, self._count = self._total + moves.reward, self._count + 1
            rows.append(
                {
                    "observation": seen,
                    "action": action,
                    "reward": moves.reward,
                    "terminated": moves.terminated,
                    "truncated": moves.truncated,
                    "next_observation": moves.left,
                    "return": self._total,
                    "length": self._count,
                }
            )
            over = moves.terminated | moves.truncated
            self._total, self._count = (
                np.where(over, 0, self._total),
                np.where(over, 0, self._count),
            )
            self._seen = moves.observation
        return {k: np.stack([row[k] for row in rows], 1) for k in rows[0]}

    def state(self) -> dict[str, np.ndarray]:
        return {"begun": np.asarray(self._begun, np.int32)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the count alone, so that the episodes that now begin are not those of before."""
        self._begun = int(state["begun"])
        print(
            f"{self.environment} cannot be saved: its episodes begin anew, and this run is no longer, bit "
            "for bit, the one that never stopped.",
            flush=True,
        )

    def _begin(self):
        seeds = np.random.SeedSequence((self._seed, self._begun)).generate_state(self.number)
        self._worlds = gym_worlds.Worlds(self.environment, self.number, self._workers)
        self._begun += 1
        self._seen = self._worlds.reset([int(seed) for seed in seeds])
        self._total, self._count = (
            np.zeros(self.number, np.float32),
            np.zeros(self.number, np.int32),
        )
