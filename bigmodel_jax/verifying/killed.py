"""Killed (SIGKILL) and run again is never killed, to the bit."""

import os
import signal
import time
from pathlib import Path

from bigmodel_jax.checkpoint import all_steps
from bigmodel_jax.preemption import Preemption
from bigmodel_jax.verifying import child, comparing
from bigmodel_jax.verifying.finding import Finding
from bigmodel_jax.verifying.subject import Subject

PATIENCE = 600  # seconds that a checkpoint may take to be written


class Kill(Preemption):
    """Ends this process by SIGKILL at its last dispatch but one, once a checkpoint is on the disk."""

    def __init__(self, count: int, checkpoints: Path):
        super().__init__()
        self._count, self._checkpoints = count, checkpoints

    def requested(self, count: int) -> bool:
        if count == self._count:
            deadline = time.monotonic() + PATIENCE
            while not all_steps(self._checkpoints) and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().requested(count)


def check(subject: Subject) -> Finding:
    """Killed between two checkpoints, a process of its own; run again in this one."""
    straight, _ = subject.straight
    every = {"checkpoint": {"every": f"{subject.config['repeat']} steps"}}
    config = {**subject.short, **every}
    dispatches = subject.total // subject.config["repeat"]
    child.train(subject, "killed", config, kill=max(dispatches - 1, 2))
    reached = max(all_steps(subject.folder / "killed" / "checkpoints"), default=0)
    killed, _ = subject.train("killed")
    difference, where, what = comparing.runs(killed, straight, subject.total)
    what = f"{what}, killed by SIGKILL and run again from step {reached}"
    return Finding(what, difference, 0.0, where)
