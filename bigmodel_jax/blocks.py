"""Goes through large matrices on the host in parts: rows or columns, some at a time.

A million examples with a thousand classes are gigabytes, and so is every intermediate result that
is computed of all of them at once.
"""

from collections.abc import Iterator

import numpy as np

ELEMENTS = 1 << 24  # of a block, about


def rows(array: np.ndarray) -> Iterator[np.ndarray]:
    """Views [some, ...] of an array [rows, ...], which are together all of it."""
    some = max(1, ELEMENTS // max(1, array[:1].size))
    return (array[i : i + some] for i in range(0, len(array), some))


def columns(array: np.ndarray) -> Iterator[np.ndarray]:
    """All columns [rows] of an array [rows, columns], contiguous; gathered some at a time.

    One by one would read the whole array for each.
    """
    some = max(1, ELEMENTS // max(1, len(array)))
    for i in range(0, array.shape[1], some):
        yield from np.ascontiguousarray(array[:, i : i + some].T)
