"""Notices that the machine is about to be taken away (SIGTERM), on every host at the same step."""

import signal
import threading

import jax
from jax.experimental import multihost_utils


class Preemption:
    """While open, SIGTERM no longer kills the process but makes `requested` true.

    Several processes agree through JAX's own handler, which `jax.distributed.initialize` installs; a
    handler of ours would silently replace it.
    """

    def __init__(self):
        self._event = threading.Event()
        self._old = None

    def __enter__(self):
        alone = jax.process_count() == 1
        if alone and threading.current_thread() is threading.main_thread():
            self._old = signal.signal(signal.SIGTERM, lambda *_: self._event.set())
        return self

    def __exit__(self, *_):
        if self._old is not None:
            signal.signal(signal.SIGTERM, self._old)

    def requested(self, step: int) -> bool:
        """Whether to save and leave after this step. Call it once a step, from one place."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._event.is_set()
