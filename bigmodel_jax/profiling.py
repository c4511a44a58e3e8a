"""A trace of chosen steps, for XProf or TensorBoard: `main --profile=100:110`."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import jax

from bigmodel_jax.errors import UserError


class Profile:
    """Traces the steps after `first` up to `last`, into a folder.

    Args:
        steps: "100:110", or "" for none.
    """

    def __init__(self, steps: str, folder: Path):
        self._folder, self._on = folder, False
        self.first = self.last = -1
        if not steps:
            return
        found = re.fullmatch(r"(\d+):(\d+)", steps)
        if not found or int(found[1]) >= int(found[2]):
            raise UserError(f"--profile={steps} is no range of steps, such as 100:110.")
        self.first, self.last = int(found[1]), int(found[2])

    @contextlib.contextmanager
    def open(self) -> Iterator["Profile"]:
        """Ends a trace that is running at the end."""
        try:
            yield self
        finally:
            self._stop()

    def at(self, done: int, state) -> str:
        """Starts or ends the trace where it is due; a sentence for the user where it ended."""
        if self._on and done >= self.last:
            jax.block_until_ready(state)
            self._stop()
            return (
                f"A trace of the steps up to {done} is in {self._folder}: `tensorboard --logdir` shows it "
                "(pip install xprof)."
            )
        if not self._on and self.first <= done < self.last:
            jax.block_until_ready(state)
            jax.profiler.start_trace(str(self._folder))
            self._on = True
        return ""

    def _stop(self) -> None:
        if self._on:
            jax.profiler.stop_trace()
            self._on = False
