"""Documents become rows of one length: an index, computed once, from which any row can be had.

A span is what of a document is to be read, a run what of a span lies in a row; both are (first,
count), places in a token file. In a row each run is a segment of its own.
"""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from bigmodel_jax.data.unfinished import new_file

KINDS = ("concat", "best_fit", "documents")


class Runs(NamedTuple):
    """The runs of some rows, one row after another.

    Attributes:
        first: place of each run in the token file, int64 [runs].
        count: tokens of each run, int64 [runs].
        rows: how many runs each row has, int64 [rows].
    """

    first: np.ndarray
    count: np.ndarray
    rows: np.ndarray


class Index(Protocol):
    """Rows of at most `length` tokens; `lengths` are those of all rows, int64 [rows]."""

    lengths: np.ndarray

    def runs(self, row: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
        """(first, count) of the runs of a row; `shift` moves the cuts, where there are any."""
        ...

    def stream(self) -> tuple[np.ndarray, np.ndarray]:
        """(first, count) of all that rows are cut from, in an order in which each is one stretch."""
        ...

    def begin(self, row: int, shift: int) -> int:
        """Where in that stream a row begins; it may go on at its beginning."""
        ...


class Concat:
    """All spans one after another, cut into rows: only the last row is not full.

    A shift of s begins the first row at token s of all; what is before comes last.
    """

    def __init__(self, first: np.ndarray, count: np.ndarray, length: int):
        self._first, self._count, self._length = first, count, length
        self._ends = np.cumsum(count)
        self.total = int(self._ends[-1])
        rows = -(-self.total // length)
        self.lengths = np.full(rows, length)
        self.lengths[-1] = self.total - (rows - 1) * length

    def runs(self, row: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
        begin = self.begin(row, shift)
        end = begin + int(self.lengths[row])
        first, count = self._between(begin, min(end, self.total))
        if end > self.total:
            more = self._between(0, end - self.total)
            first, count = np.append(first, more[0]), np.append(count, more[1])
        return first, count

    def stream(self) -> tuple[np.ndarray, np.ndarray]:
        return self._first, self._count

    def begin(self, row: int, shift: int) -> int:
        return (row * self._length + shift) % self.total

    def _between(self, begin, end):
        inside = slice(
            int(np.searchsorted(self._ends, begin, "right")),
            int(np.searchsorted(self._ends, end, "left")) + 1,
        )
        ends = self._ends[inside]
        starts = np.append(self._ends[inside.start - 1] if inside.start else 0, ends[:-1])
        left = np.maximum(begin - starts, 0)
        return self._first[inside] + left, np.minimum(ends, end) - starts - left


class Packed:
    """Whole spans in each row, those longer than a row in pieces of its length.

    Args:
        first, count: of the pieces, row by row.
        offsets: int64 [rows + 1], of the rows among them.
    """

    def __init__(self, first: np.ndarray, count: np.ndarray, offsets: np.ndarray):
        self._first, self._count, self._offsets = first, count, offsets
        self.lengths = np.add.reduceat(count, offsets[:-1])
        self._begins = np.cumsum(self.lengths) - self.lengths

    def runs(self, row: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
        inside = slice(self._offsets[row], self._offsets[row + 1])
        return self._first[inside], self._count[inside]

    def stream(self) -> tuple[np.ndarray, np.ndarray]:
        return self._first, self._count

    def begin(self, row: int, shift: int) -> int:
        return int(self._begins[row])


def make_index(
    kind: str, first: np.ndarray, count: np.ndarray, length: int, cache: Path | None = None
) -> Index:
    """The rows of spans [spans], none of which is empty.

    Args:
        kind: "concat", "best_fit" or "documents" (a row each).
        cache: where the rows of "best_fit" are kept.
    """
    if kind == "concat":
        return Concat(first, count, length)
    first, count = in_pieces(first, count, length)
    if kind == "documents":
        return Packed(first, count, np.arange(len(first) + 1))
    order, offsets = _remembered(count, length, cache)
    return Packed(first[order], count[order], offsets)


def in_pieces(first: np.ndarray, count: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Spans longer than a row as several, of `length` tokens but for the last."""
    parts = -(-count // length)
    number = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    first = np.repeat(first, parts) + number * length
    return first, np.minimum(np.repeat(count, parts) - number * length, length)


def best_fit(count: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Best-fit decreasing: the longest first, each into the fullest row that has room for it.

    As in "Fewer Truncations Improve Language Modeling" (Ding et al., 2024), where the rooms of rows
    are few numbers: pieces of one length, and rows of one room, are dealt with together.

    Returns:
        (order, offsets): the pieces row by row, and where rows begin, int64 [rows + 1].
    """
    by_length = np.argsort(-count, kind="stable")
    sizes, starts = np.unique(-count[by_length], return_index=True)
    stops = np.append(starts[1:], len(count))
    row_of = np.empty(len(count), np.int64)
    rows, rooms = 0, defaultdict(list)  # room -> rows that have just that much
    has = np.zeros(length + 1, bool)  # which rooms there are
    for size, start, stop in zip((-sizes).tolist(), starts.tolist(), stops.tolist(), strict=True):
        while start < stop:
            room = size + int(has[size:].argmax())
            if not has[room]:
                new = -(-(stop - start) // (length // size))
                rooms[length], rows = list(range(rows + new - 1, rows - 1, -1)), rows + new
                has[length], room = True, length
            # The fullest row that fits stays the fullest until no more of this size go in.
            each = room // size
            takes = -(-(stop - start) // each)
            taken = [rooms[room].pop() for _ in range(min(takes, len(rooms[room])))]
            has[room] = bool(rooms[room])
            for row in taken:
                some = min(each, stop - start)
                row_of[by_length[start : start + some]] = row
                start += some
                rooms[room - some * size].append(row)
                has[room - some * size] = True
    order = np.argsort(row_of, kind="stable")
    return order, np.append(0, np.cumsum(np.bincount(row_of, minlength=rows)))


def _remembered(count, length, cache):
    """`best_fit`, from the cache if it is there."""
    if cache is not None and cache.is_file():
        with np.load(cache) as saved:
            return saved["order"], saved["offsets"]
    order, offsets = best_fit(count, length)
    if cache is not None:
        with new_file(cache) as file:
            np.savez(file, order=order, offsets=offsets)
    return order, offsets


def fill(flat: np.ndarray, runs: Runs, length: int, shift: bool) -> dict[str, np.ndarray]:
    """The rows as arrays [rows, length], padded with 0.

    Args:
        flat: a token file's tokens.
        shift: runs are what is to be predicted, "targets"; "tokens" are those one place before.

    Returns:
        "tokens", "segments" (1, 2, ... in each row; 0 is padding), "positions" (from 0 in each
        segment), int32; "mask", bool, True where data are; and perhaps "targets", int32.
    """
    total = int(runs.count.sum())
    begins = np.cumsum(runs.count) - runs.count
    position = np.arange(total) - np.repeat(begins, runs.count)
    place = np.repeat(runs.first, runs.count) + position
    number = np.arange(len(runs.rows)).repeat(runs.rows)  # the row of each run
    nth = np.arange(len(runs.first)) - (np.cumsum(runs.rows) - runs.rows)[number]
    kept = np.bincount(number, runs.count, len(runs.rows)).astype(np.int64)
    mask = np.arange(length) < kept[:, None]

    def spread(values):
        out = np.zeros(mask.shape, np.int32)
        out[mask] = values
        return out

    batch = {
        "tokens": spread(flat[place - shift]),
        "segments": spread(np.repeat(nth + 1, runs.count)),
        "positions": spread(position),
        "mask": mask,
    }
    return {**batch, "targets": spread(flat[place])} if shift else batch
