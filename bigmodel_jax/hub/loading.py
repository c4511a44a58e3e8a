"""Published arrays into a mesh: each device reads its own part of a file, in the order of ours.

Several readers work ahead of each other, but no more bytes are in flight than the largest array has.
"""

import math
import mmap
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import jax
import numpy as np

from bigmodel_jax import trees
from bigmodel_jax.hub import axes
from bigmodel_jax.hub.published import Published, by_path

READERS = 4
LINE = 64  # bytes of a cache line


def load(published: Published, abstract: Mapping) -> dict:
    """The variables of our model.

    Args:
        abstract: their shapes, dtypes and shardings, as a tree.
    """
    wanted = by_path(abstract)
    sizes = {link: sum(_bytes(wanted[path]) for path in link.ours) for link in published.links}
    room = _Room(max(sizes.values()))

    def read(link):
        name, made = published.names[link.theirs], {}
        file = published.files[name]
        with room.of(sizes[link]):
            for part, path in enumerate(link.ours):
                x = wanted[path]
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
    places = zip(trees.flatten(abstract), wanted, strict=True)
    return trees.unflatten({place: found[path] for place, path in places})


def _copied(view: np.ndarray, dtype) -> np.ndarray:
    """A view as an array of its own, which a CPU's jax takes as it is.

    What is turned round is copied a cache line at a time, which is several times as fast as NumPy's
    own order.
    """
    dtype = np.dtype(dtype)
    if not view.size:
        return np.zeros(view.shape, dtype)
    # Aligned to a page. NumPy would ask for huge ones, for which a virtual machine may search seconds.
    raw = mmap.mmap(-1, view.size * dtype.itemsize)
    out = np.frombuffer(raw, dtype).reshape(view.shape)
    if view.flags.c_contiguous or view.ndim < 2:
        out[...] = view
        return out
    step = max(1, LINE // dtype.itemsize)
    for i in range(0, view.shape[-1], step):
        out[..., i : i + step] = view[..., i : i + step]
    return out


def _bytes(x) -> int:
    return math.prod(x.shape) * np.dtype(x.dtype).itemsize


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
