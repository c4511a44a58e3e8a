"""Shows where a run hangs: the stacks of all threads, when no step has ended for long."""

import faulthandler
import sys
import threading


class Watchdog:
    """Looks now and then whether `done` has moved.

    with Watchdog(minutes=30) as watchdog:
        watchdog.done = step

    Args:
        minutes: without a step, an evaluation or a checkpoint, after which it speaks; 0 is never.
    """

    def __init__(self, minutes: float):
        self.done, self._seconds = 0, 60 * minutes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watchdog":
        if self._seconds:
            self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()

    def _watch(self) -> None:
        seen = None
        while not self._ended.wait(self._seconds):
            if self.done == seen:
                print(
                    f"NOTE: step {self.done} was the last to end, more than {self._seconds / 60:g} minutes "
                    "ago. What all threads do:",
                    file=sys.stderr,
                    flush=True,
                )
                faulthandler.dump_traceback(all_threads=True)
            seen = self.done
