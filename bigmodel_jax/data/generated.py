"""Readers of generated examples: each is a function of its split and number, on every platform."""

import abc
import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bigmodel_jax.errors import UserError, nearest


class Random:
    """Choices by `random()` from a string seed: the one stream that Python promises to keep."""

    def __init__(self, seed: str):
        self._random = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        return self._random() < probability

    def below(self, n: int) -> int:
        return int(self._random() * n)

    def pick(self, items):
        return items[self.below(len(items))]


def mixed(items: Iterable[Any], rng: Random) -> list[Any]:
    """Items in any order."""
    found: list[Any] = []
    for item in items:
        found.insert(rng.below(len(found) + 1), item)
    return found


class Generated(abc.ABC):
    """What data/readers asks of a reader, but for the examples themselves.

    Args:
        version: to be raised when any example changes: it is part of the fingerprint.
        splits: name to number of examples.
        options: what else decides the examples; the first of them starts other streams of chance.
    """

    name: str
    synthetic = True

    def __init__(self, version: int, splits: Mapping[str, int], *options: Any):
        self.splits = dict(splits)
        self._identity = (self.name, version, sorted(self.splits.items()), *options)
        self._stream = "/".join(map(str, (version, *options[:1])))

    def fingerprint(self) -> str:
        """sha256 of the generator's version and its arguments."""
        return hashlib.sha256(repr(self._identity).encode()).hexdigest()

    def examples(self, split: str, indices: Sequence[int] | None = None) -> Iterator[dict]:
        """Yields `example`s, all or those of `indices`."""
        if split not in self.splits:
            raise UserError(f"{self.name} has no split {split!r}.{nearest(split, self.splits)}")
        for i in range(self.splits[split]) if indices is None else indices:
            yield self.example(Random(f"{self._stream}/{split}/{int(i)}"))

    @abc.abstractmethod
    def example(self, rng: Random) -> dict:
        """One example."""
