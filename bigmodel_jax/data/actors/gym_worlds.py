"""Environments of gymnasium side by side, stepped by worker processes.

What a worker sends is checked before it is passed on. This module imports no jax: a worker is light.
"""

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.errors import UserError


class Spaces(NamedTuple):
    """What an environment declares.

    Attributes:
        shape: of an observation.
        num_actions: of a discrete choice, else None.
        action_size: of numbers, else None.
        low: bounds of the numbers, or the first action's number.
        high: the same, or the last's.
    """

    shape: tuple[int, ...]
    num_actions: int | None
    action_size: int | None
    low: Any
    high: Any

    def bounded(self, action: np.ndarray) -> np.ndarray:
        """An agent's actions as the environment takes them: within its bounds, by its own numbers."""
        if self.num_actions is None:
            return np.clip(action, self.low, self.high)
        return action + self.low


class Moves(NamedTuple):
    """What became of one action in each environment; one that is over has begun anew since."""

    observation: np.ndarray  # of now, float32 [number, ...]
    left: np.ndarray  # of the world as it was left, the same but where it was over
    reward: np.ndarray  # float32 [number]
    terminated: np.ndarray  # bool [number]
    truncated: np.ndarray


def make(name: str, **options) -> Any:
    """gymnasium's environment of that name ("CartPole-v1", "my_package:MyWorld-v0")."""
    try:
        import gymnasium
    except ImportError as error:
        raise UserError(
            "Environments of gymnasium need the package: pip install 'bigmodel_jax[rl]'."
        ) from error
    try:
        return gymnasium.make(name, disable_env_checker=True, **options)
    except (gymnasium.error.Error, ImportError) as error:
        reason = str(error).strip().splitlines()[0].removesuffix(".")
        raise UserError(f"gymnasium has no environment {name!r} to give: {reason}.") from error


def spaces(name: str) -> Spaces:
    """What an environment declares; a UserError for spaces that no task here can act in."""
    environment = make(name)
    try:
        seen, act = environment.observation_space, environment.action_space
    finally:
        environment.close()
    kind, shape = type(act).__name__, getattr(seen, "shape", None)
    if type(seen).__name__ != "Box" or not shape:
        raise UserError(
            f"{name} observes {seen}, but an agent here reads arrays of numbers (Box): wrap it, for "
            "example in gymnasium's FlattenObservation."
        )
    if kind == "Discrete":
        start = int(act.start)
        return Spaces(shape, int(act.n), None, start, start + int(act.n) - 1)
    if kind == "Box" and len(act.shape) == 1:
        return Spaces(shape, None, act.shape[0], act.low, act.high)
    raise UserError(
        f"{name} is acted in by {act}, but an agent here chooses one of several actions (Discrete) or "
        "a row of numbers (Box): wrap it."
    )


class Worlds:
    """`number` environments, shared out to worker processes.

    Args:
        name: of the environment; see `make`.
        workers: processes; at most one an environment. They end with this object.

    Raises:
        UserError: there is no such environment; later, what it gives is not what it declared, it failed,
            or its process died.
    """

    def __init__(self, name: str, number: int, workers: int):
        self.name, self.number, self.spaces = name, number, spaces(name)
        context = multiprocessing.get_context("spawn")  # a fork would copy jax's locks, held or not
        self._parts = np.array_split(np.arange(number), max(1, min(workers, number)))
        self._pipes, self._processes = [], []
        for part in self._parts:
            pipe, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, name, len(part)), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(pipe)
            self._processes.append(process)

    def reset(self, seeds: Sequence[int]) -> np.ndarray:
        """Begins all anew, each by its seed; observations float32 [number, ...]."""
        self._send([("reset", [int(seeds[i]) for i in part]) for part in self._parts])
        return self._checked("observation", np.concatenate(self._receive()))

    def step(self, action: np.ndarray) -> Moves:
        """Acts in each; int [number] of a discrete choice, else float32 [number, action_size]."""
        action = self.spaces.bounded(action)
        self._send([("step", action[part]) for part in self._parts])
        rows = [np.concatenate(values) for values in zip(*self._receive(), strict=True)]
        moves = Moves(*rows)
        for name in ("observation", "left", "reward"):
            self._checked(name, getattr(moves, name))
        return moves

    def play(
        self, choose: Callable[[np.ndarray], np.ndarray], seeds: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(returns float64, lengths) of one whole episode in each environment, both [number]."""
        seen, going = self.reset(seeds), np.ones(self.number, bool)
        total, length = np.zeros(self.number), np.zeros(self.number, np.int64)
        while going.any():
            moves = self.step(choose(seen))
            total += np.where(going, moves.reward, 0)
            length += going
            going &= ~(moves.terminated | moves.truncated)
            seen = moves.observation
        return total, length

    def _send(self, values):
        for i, (pipe, value) in enumerate(zip(self._pipes, values, strict=True)):
            try:
                pipe.send(value)
            except OSError as error:
                raise self._died(i) from error

    def _receive(self):
        found = []
        for i, pipe in enumerate(self._pipes):
            try:
                kind, value = pipe.recv()
            except (EOFError, OSError) as error:
                raise self._died(i) from error
            if kind == "wrong":
                raise UserError(f"{self.name} {value} {KEPT}")
            found.append(value)
        return found

    def _checked(self, what, rows):
        fine = np.isfinite(rows.reshape(self.number, -1)).all(1)
        if not fine.all():
            first = int(np.flatnonzero(~fine)[0])
            value = rows[first]
            what = "reward" if what == "reward" else "observation"
            raise UserError(f"{self.name} gave the {what} {value} in environment {first}. {KEPT}")
        return rows

    def _died(self, i):
        process = self._processes[i]
        process.join(1)
        return UserError(
            f"The worker process of {self.name} with environments {self._parts[i][0]} to "
            f"{self._parts[i][-1]} died (exit code {process.exitcode}). {KEPT}"
        )


KEPT = (
    "Nothing of this step was learnt; mend the environment and run the same command again, which goes "
    "on from the newest checkpoint."
)


class _Wrong(Exception):
    """An environment that does not do as it declares."""


def _work(pipe, name, number):
    """A worker: steps its environments until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C asks the run, which still ends its step
    try:
        worlds = [make(name) for _ in range(number)]
        shape = worlds[0].observation_space.shape

        def seen(observation):
            found = np.asarray(observation)
            if found.shape != shape:
                raise _Wrong(f"gave an observation of shape {found.shape}, but declares {shape}.")
            return found.astype(np.float32)

        def move(world, action):
            left, reward, terminated, truncated, _ = world.step(action)
            left = seen(left)
            if np.shape(reward) != ():
                raise _Wrong(f"gave a reward of shape {np.shape(reward)}, but it is one number.")
            now = seen(world.reset()[0]) if terminated or truncated else left
            return now, left, np.float32(reward), bool(terminated), bool(truncated)

        while True:
            kind, values = pipe.recv()
            pairs = list(zip(worlds, values, strict=True))
            if kind == "reset":
                found = np.stack([seen(world.reset(seed=seed)[0]) for world, seed in pairs])
            else:
                rows = [move(world, action) for world, action in pairs]
                found = tuple(np.stack(column) for column in zip(*rows, strict=True))
            pipe.send(("fine", found))
    except EOFError:
        pass  # the run has ended
    except _Wrong as error:
        pipe.send(("wrong", str(error)))
    except Exception as error:
        traceback.print_exc()
        pipe.send(("wrong", f"failed in a worker: {type(error).__name__}: {error}."))
