"""How fast training goes: steps and examples a second, and what input cost, pauses left out."""

import contextlib
import time


class Pace:
    """Measures the time between two logs that was spent training.

    Args:
        step: where the clock starts.
        batch_size: examples a step.
    """

    def __init__(self, step: int, batch_size: int):
        self._step, self._batch_size = step, batch_size
        self._begun, self._waited = time.perf_counter(), 0.0

    @contextlib.contextmanager
    def paused(self):
        """Leaves out what happens inside: an evaluation, the copying of a checkpoint."""
        begun = time.perf_counter()
        yield
        self._begun += time.perf_counter() - begun

    def lap(self, step: int, waited: float) -> dict[str, float]:
        """The pace since the last lap; call it when the device has finished `step`.

        Args:
            waited: seconds that input has kept the device waiting since the run began.
        """
        now = time.perf_counter()
        seconds = max(now - self._begun, 1e-9)
        rate, share = (step - self._step) / seconds, (waited - self._waited) / seconds
        self._begun, self._step, self._waited = now, step, waited
        return {
            "steps_per_second": rate,
            "examples_per_second": rate * self._batch_size,
            "input_wait": min(share, 1.0),
        }
