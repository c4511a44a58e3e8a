"""Pairs of texts become rows: several short pairs share one, so that little of it is padding.

A row has room for so many tokens of sources and so many of targets. Which lengths come together is
computed once; which pairs of these lengths, is drawn anew for each epoch.
"""

from typing import NamedTuple

import numpy as np

OPEN = 1024  # rows that are looked at: more would find fuller ones, in time squared


class Packed(NamedTuple):
    """Rows of pairs: row r holds the members offsets[r] to offsets[r + 1], int64 both."""

    members: np.ndarray
    offsets: np.ndarray

    def row(self, row: int) -> np.ndarray:
        """The pairs of a row."""
        return self.members[self.offsets[row] : self.offsets[row + 1]]


def pack(source: np.ndarray, target: np.ndarray, room: tuple[int, int]) -> Packed:
    """Best-fit decreasing in two dimensions: the largest pair first, each into the fullest row.

    Args:
        source, target: tokens of each, int64 [pairs], none of which is more than its room.
        room: tokens of sources, and of targets, in a row.
    """
    share = np.maximum(source / room[0], target / room[1])
    left = np.zeros((2, OPEN), np.int64)  # of the rows that are open
    name = np.full(OPEN, -1)
    row_of, rows = np.empty(len(source), np.int64), 0
    for pair in np.argsort(-share, kind="stable").tolist():
        size = np.array([[source[pair]], [target[pair]]])
        after = left - size
        rest = np.where((after >= 0).all(0), after.sum(0), np.iinfo(np.int64).max)
        place = int(rest.argmin())
        if rest[place] == np.iinfo(np.int64).max:  # in place of the fullest
            place = int(left.sum(0).argmin())
            left[:, place], name[place], rows = room, rows, rows + 1
        left[:, place] -= size[:, 0]
        row_of[pair] = name[place]
    members = np.argsort(row_of, kind="stable")
    return Packed(members, np.append(0, np.cumsum(np.bincount(row_of, minlength=rows))))


def exchanged(source: np.ndarray, target: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """For each pair another of the same two lengths, a permutation int64 [pairs]."""
    shape = source.astype(np.int64) << 32 | target
    drawn = np.random.default_rng(seed).permutation(len(shape))
    found = np.empty(len(shape), np.int64)
    found[np.argsort(shape, kind="stable")] = drawn[np.argsort(shape[drawn], kind="stable")]
    return found
