"""Readers: data sets of labelled texts with published splits, one kind a file.

    class Reader:
        def __init__(self, <options of the config>, data_dir: str | None = None)
        name: str                     # for banners and the names of metrics
        synthetic: bool               # True only for generated data
        label_names: tuple[str, ...]  # index = label id
        splits: dict[str, int]        # split -> number of examples, {"train": 25000, "test": 25000}
        def fingerprint(self) -> str  # sha256 of what the data are, in hexadecimal
        def examples(self, split, indices=None) -> Iterator[dict]
            # {"text": str, "label": int}; indices: positions in the split, None for all in order
            # (of conversations and of tagged words other keys: see the generated ones; readers of
            # ratings have a table instead, data/rating_tables.py)
        # What may be left out:
        labelled: bool      # False where there are images alone, for learning without labels
        target: str         # "class"; "labels": a list of ids; "number": a float, names ("value",)
        pairs: bool         # examples have a second text, "pair"
        reads_partly: bool  # examples() takes a `limit` (data/limit.py): what that cuts may be missing
        def field(self, split, indices, name) -> list  # another column's values, for evals/slices.py

The order of a split is fixed and mixed: a slice of it is a fair sample even where a file is sorted
by label.
"""

from collections.abc import Mapping

import numpy as np

from bigmodel_jax.errors import UserError


class Unavailable(UserError):
    """The data are not here at all, so that the next candidate may be tried."""


def mixed(count: int) -> np.ndarray:
    """The permutation of `count` examples in which readers present what they find in files.

    RandomState, because its streams are frozen: the same order in every version of NumPy.
    """
    return np.random.RandomState(20_110_619).permutation(count)


def texts_of(example: Mapping) -> tuple[str, ...]:
    """The one text of an example, or both of a pair."""
    return (example["text"], example["pair"]) if "pair" in example else (example["text"],)
