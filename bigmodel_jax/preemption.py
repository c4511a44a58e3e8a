"""Notices that the run is to stop (SIGTERM, Ctrl-C), on every host at the same step."""

import signal
import threading

import jax
from jax.experimental import multihost_utils


class Preemption:
    """While open, SIGTERM and Ctrl-C no longer end the process but make `requested` true.

    A second one ends it at once, without saving. Several processes agree through JAX's own handler, which `jax.distributed.initialize` installs; a
    handler of ours would silently replace it.
    """

    def __init__(self):
        self._event = threading.Event()
        self._old: dict = {}

    def __enter__(self):
        alone = jax.process_count() == 1
        if alone and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._old[number] = signal.signal(number, self._notice)
        return self

    def __exit__(self, *_):
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _notice(self, number, frame):
        self._event.set()
        signal.signal(number, self._old[number])

    def requested(self, count: int) -> bool:
        """Whether to save and leave now.

        Args:
            count: rises by exactly one from call to call, or the processes never agree.
        """
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(count)
        return self._event.is_set()
