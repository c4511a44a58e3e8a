"""Decodes images in several processes: a reader's bytes become arrays of one shape."""

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import pixels
from bigmodel_jax.errors import UserError

CHUNK = 16  # images that a process decodes at once


class Geometry(NamedTuple):
    """What an image becomes: `size` by `size` pixels, of `channels`; see pixels.fit for `crop`."""

    size: int
    channels: int
    crop: float


class Work(NamedTuple):
    """What every process needs to know; it can be pickled.

    Attributes:
        transforms: specs, see data/image_transforms.
    """

    reader: Any
    split: str
    geometry: Geometry
    transforms: Sequence[Mapping] = ()


class Decoded(NamedTuple):
    """Images that were asked for.

    Attributes:
        images: uint8 [images, size, size, channels], 0 where one is unreadable.
        labels: int32 [images].
        unreadable: why, by the place among those asked for.
    """

    images: np.ndarray
    labels: np.ndarray
    unreadable: dict[int, str]


class Decoder:
    """Decodes the images of a split, here or in processes of its own, which start at the first call.

    Args:
        workers: processes; 0 and 1 decode here, -1 takes one for each core.
    """

    def __init__(self, work: Work, workers: int = -1):
        if workers < -1:
            raise UserError(f"config.data.workers is {workers}, but it is a number of processes.")
        self._work = work
        self._workers = len(os.sched_getaffinity(0)) if workers == -1 else workers
        self._pool: ProcessPoolExecutor | None = None

    def decode(
        self, positions: np.ndarray, seeds: Sequence[tuple[int, ...]] | None = None
    ) -> Decoded:
        """The images at some positions of the split, in that order.

        Args:
            seeds: of each image's transforms; without them none is applied.
        """
        parts = list(self.stream([positions], [seeds] if seeds is not None else None))
        found, start = {}, 0
        for part in parts:
            found |= {start + i: why for i, why in part.unreadable.items()}
            start += len(part.images)
        images, labels = (np.concatenate(arrays) for arrays in list(zip(*parts, strict=True))[:2])
        return Decoded(images, labels, found)

    def stream(self, positions: Iterable[np.ndarray], seeds=None) -> Iterator[Decoded]:
        """The same of many, a chunk after another: no more of them are held than processes need."""
        jobs = _jobs(positions, seeds)
        if self._workers < 2:
            worker = Worker(self._work)
            yield from (worker(*job) for job in jobs)
            return
        if self._pool is None:
            # Not forked: the threads of jax would be copied in whatever state they are.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, context, _start, (self._work,))
        waiting = []
        try:
            for job in jobs:
                waiting.append(self._pool.submit(_do, *job))
                if len(waiting) > 4 * self._workers:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "A process that decoded images was killed, perhaps for want of memory: "
                "config.data.workers can be less."
            ) from error

    def close(self) -> None:
        """Ends the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _jobs(positions, seeds):
    for several, of_each in zip(positions, seeds or iter(lambda: None, 0), strict=False):
        for start in range(0, len(several), CHUNK):
            part = slice(start, start + CHUNK)
            yield several[part], of_each and of_each[part]


class Worker:
    """Decodes in this process."""

    def __init__(self, work: Work):
        self._work = work
        self._transforms = [config.build("data.image_transforms", s) for s in work.transforms]

    def __call__(self, positions: np.ndarray, seeds: Sequence[tuple[int, ...]] | None) -> Decoded:
        reader, split, geometry, _ = self._work
        size, channels, crop = geometry
        images = np.zeros((len(positions), size, size, channels), np.uint8)
        labels, unreadable = np.zeros(len(positions), np.int32), {}
        for i, example in enumerate(reader.examples(split, positions)):
            labels[i] = example["label"]
            try:
                image = pixels.decode(example["image"], channels)
            except pixels.Unreadable as error:
                unreadable[i] = str(error)
                continue
            images[i] = self.finished(image, seeds and seeds[i])
        return Decoded(images, labels, unreadable)

    def finished(self, image, seed) -> np.ndarray:
        """An image with the transforms applied, brought to its size."""
        if seed is not None:
            rng = np.random.default_rng(seed)
            for transform in self._transforms:
                image = transform(image, rng)
        size, _, crop = self._work.geometry
        return pixels.to_array(pixels.fit(image, size, crop))


_worker: Any = None  # of this process


def _start(work: Work) -> None:
    global _worker
    _worker = Worker(work)


def _do(positions, seeds) -> Decoded:
    return _worker(positions, seeds)
