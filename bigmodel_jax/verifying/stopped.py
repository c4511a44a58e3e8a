"""Asked to stop (SIGTERM) and run again is never stopped, to the bit."""

import signal

from bigmodel_jax.preemption import Preemption
from bigmodel_jax.verifying import comparing
from bigmodel_jax.verifying.finding import Finding
from bigmodel_jax.verifying.subject import Subject


class Stop(Preemption):
    """Sends this process a real SIGTERM after so many dispatches."""

    def __init__(self, count: int):
        super().__init__()
        self._count = count

    def requested(self, count: int) -> bool:
        if count == self._count:
            signal.raise_signal(signal.SIGTERM)
        return super().requested(count)


def check(subject: Subject) -> Finding:
    """Stopped in the middle of a logging window: half-summed metrics must survive, too."""
    straight, _ = subject.straight
    stop = Stop(subject.half // subject.config["repeat"])
    stopped, state = subject.train("stopped", preemption=stop)
    if int(state.step) != subject.half:
        return Finding(
            f"SIGTERM at step {subject.half} stopped it at {state.step}", float("inf"), 0
        )
    subject.train("stopped")
    difference, where, what = comparing.runs(stopped, straight, subject.total)
    return Finding(f"{what}, stopped by SIGTERM at step {subject.half}", difference, 0.0, where)
