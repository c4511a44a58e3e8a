"""How fast training goes: steps and examples a second, and what input cost, pauses left out."""

import contextlib
import time

# What differs between two runs of the same thing.
TIMED = ("steps_per_second", "examples_per_second", "tokens_per_second", "mfu", "input_wait")


class Pace:
    """Measures the time between two logs that was spent training.

    Args:
        step: where the clock starts.
        batch_size, tokens: examples and tokens a step; 0 tokens of what has none.
        flops: of the model a step, over what all devices could do in a second; 0 where that is unknown.
        trained: seconds of training before.
    """

    def __init__(
        self, step: int, batch_size: int, tokens: int = 0, flops: float = 0.0, trained: float = 0.0
    ):
        self._step, self._flops = step, flops
        self._counts = {"examples": batch_size, "tokens": tokens}
        self._begun, self._waited, self._trained = time.perf_counter(), 0.0, trained

    @property
    def trained(self) -> float:
        """Seconds spent training, those of earlier processes of the run included."""
        return self._trained + time.perf_counter() - self._begun

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
        self._trained += now - self._begun
        self._begun, self._step, self._waited = now, step, waited
        found = {f"{what}_per_second": rate * n for what, n in self._counts.items() if n}
        found |= {"mfu": rate * self._flops} if self._flops else {}
        return {"steps_per_second": rate, **found, "input_wait": min(share, 1.0)}
