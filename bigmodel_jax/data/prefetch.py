"""Batches ahead of the step: a thread reads, stacks and places them while the device computes."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np


class Prefetch:
    """Iterates over the placed batches of the steps `start, start + group, ...` below `stop`.

    Args:
        batch: `step -> batch` of host arrays, a pure function.
        place: puts a (stacked) batch on the devices.
        group: batches stacked into one item, for `steps.repeat`.
        ahead: items that may wait.

    Attributes:
        waited: seconds that the consumer spent waiting for input.
    """

    def __init__(
        self,
        batch: Callable[[int], Any],
        place: Callable[[Any], Any],
        start: int,
        stop: int,
        group: int = 1,
        ahead: int = 2,
    ):
        self._batch, self._place, self._group = batch, place, group
        self._steps = range(start, stop, group)
        self._queue: queue.Queue = queue.Queue(ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._produce, daemon=True)
        self.waited = 0.0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)

    def __iter__(self) -> Iterator[Any]:
        for _ in self._steps:
            begun = time.perf_counter()
            item = self._queue.get()
            self.waited += time.perf_counter() - begun
            if isinstance(item, BaseException):
                raise item
            yield item

    def _produce(self):
        try:
            for step in self._steps:
                if self._stopped.is_set():
                    return
                batches = [self._batch(step + i) for i in range(self._group)]
                batch = batches[0] if self._group == 1 else stack(batches)
                self._queue.put(self._place(batch))
        except BaseException as error:
            self._queue.put(error)


def stack(batches: list[Any]) -> Any:
    """Batches of one shape on a new leading axis."""
    return jax.tree.map(lambda *rows: np.stack(rows), *batches)
