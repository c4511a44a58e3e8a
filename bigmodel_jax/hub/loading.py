"""Published arrays into a mesh: each device reads its own part of a file, in the order of ours.

Several readers work ahead of each other, but no more bytes are in flight than the largest array has.
"""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import jax
import numpy as np

from bigmodel_jax import trees
from bigmodel_jax.hub import axes
from bigmodel_jax.hub.published import Published

READERS = 4


def load(published: Published, abstract: Mapping) -> dict:
    """Our parameters.

    Args:
        abstract: their shapes, dtypes and shardings, as a tree.
    """
    wanted = trees.flatten(abstract)
    room = _Room(max(_bytes(wanted[path]) for link in published.links for path in link.ours))

    def read(link):
        name, made = published.names[link.theirs], {}
        file = published.files[name]
        for part, path in enumerate(link.ours):
            x = wanted[path]
            with room.of(_bytes(x)):
                view = axes.to_ours(link.axes, file.view(name), x.shape, part)
                made[path] = jax.make_array_from_callback(
                    x.shape, x.sharding, lambda index, v=view, x=x: _copied(v[index], x.dtype)
                ).block_until_ready()
        file.forget(name)
        return made

    found: dict[str, jax.Array] = {}
    with ThreadPoolExecutor(READERS) as readers:
        for made in readers.map(read, published.links):
            found |= made
    return trees.unflatten({path: found[path] for path in wanted})


def _copied(view: np.ndarray, dtype) -> np.ndarray:
    return (
        np.ascontiguousarray(view).astype(dtype, copy=False) if view.dtype != dtype else view.copy()
    )


def _bytes(x) -> int:
    return int(np.prod(x.shape)) * np.dtype(x.dtype).itemsize


class _Room:
    """So many bytes, of which readers take some for a while."""

    def __init__(self, size: int):
        self._left, self._changed = size, threading.Condition()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            with self._changed:
                self._left += size
                self._changed.notify_all()
