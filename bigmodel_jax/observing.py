"""Looks after a run while it goes: surprises are said when they happen, costs at the end.

A batch of a new shape, input that keeps the device waiting, a step that does not end, a trace of chosen
steps; what was compiled, how much memory was taken, and which share of the time made progress.
"""

import contextlib
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from bigmodel_jax.compiling import Compilations, Shapes
from bigmodel_jax.profiling import Profile
from bigmodel_jax.watchdog import Watchdog

SLOW_INPUT = 0.2  # of the time between two logs
PATIENCE = 3  # logs in a row that something is wrong, before it is said
# What tasks may log, from which value on it is wrong, and what that means.
ALARMS = {
    "discriminator/accuracy": (
        0.99,
        "the discriminator tells real from painted {value:.1%} of the time, so that the generator learns "
        "next to nothing: a higher config.task.penalty, or a lower config.optimizer.discriminator.lr.",
    ),
    "codes/unused": (
        0.9,
        "{value:.0%} of the codes are used by no image of a batch, the code book collapses: a lower "
        "config.optimizer.codes.lr, a higher config.task.commitment, or fewer config.model.codes.",
    ),
}


class Observer:
    """Of one process's part of a run.

    Args:
        say: tells the user, on one process.
        shapes: of batches that the source has by plan.
        profile: steps to trace, "100:110", into `folder`.
        minutes: without a step, after which the stacks are shown; 0 is never.
    """

    def __init__(
        self, say: Callable[[str], None], shapes: int, profile: str, folder: Path, minutes: float
    ):
        self._say, self._slow, self._alarms = say, 0, dict.fromkeys(ALARMS, 0)
        self._shapes, self._profile = Shapes(shapes, say), Profile(profile, folder)
        self._watchdog, self._compilations = Watchdog(minutes), Compilations()

    @contextlib.contextmanager
    def watching(self) -> Iterator["Observer"]:
        with self._watchdog, self._profile.open(), self._compilations.counted():
            yield self

    def before(self, done: int, batch: Any, state: Any) -> None:
        """Before the update that follows step `done`."""
        self._watchdog.done = done
        self._shapes.look(done + 1, batch)
        if self._profile.last >= 0 and (text := self._profile.at(done, state)):
            self._say(text)

    def logged(self, row: dict[str, float]) -> None:
        """Takes in what was logged."""
        wait = row["train/input_wait"]
        self._slow = self._slow + 1 if wait > SLOW_INPUT else 0
        if self._slow == PATIENCE:
            self._say(
                f"NOTE: the devices wait for input {wait:.0%} of the time: more config.data.workers, fewer "
                "transforms, or config.data.resident=True where the data fit."
            )

        for name, (limit, text) in ALARMS.items():
            value = row.get(f"train/{name}", 0.0)
            self._alarms[name] = self._alarms[name] + 1 if value >= limit else 0
            if self._alarms[name] == PATIENCE:
                self._say("NOTE: " + text.format(value=value))

    def ended(self, trained: float, began: str) -> None:
        """Says what the run has cost.

        Args:
            trained: seconds of steps that count, over all processes that the run has had.
            began: when the run did, ISO 8601.
        """
        compiled = self._compilations
        wall = (
            datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(began)
        ).total_seconds()
        share = min(trained / max(wall, 1e-9), 1.0)
        self._say(
            f"{compiled.programs} programs ({compiled.hits} of them kept from before) took "
            f"{compiled.seconds:.1f} s to make. Goodput {share:.0%}: {trained:.0f} of {wall:.0f} s since the "
            "run began were steps that count."
        )
        stats = jax.local_devices()[0].memory_stats() or {}
        if peak := stats.get("peak_bytes_in_use"):
            self._say(f"A device held {peak / 2**30:.2f} GiB at most.")
