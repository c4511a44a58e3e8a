"""Ratings as columns, and what their readers share: folds of which one is the test part."""

import abc
from typing import NamedTuple

import numpy as np

from bigmodel_jax.data.readers import mixed
from bigmodel_jax.errors import UserError, nearest


class Table(NamedTuple):
    """Ratings, one at each place of the columns [ratings].

    Attributes:
        user, item: integers, counted from 0; places in `user_names` and `item_names`.
        rating: float32.
        time: int64, in which a user's ratings are ordered; of equal ones the order of items counts.
        fold: int32, from 1; which test part it is in.
    """

    user: np.ndarray
    item: np.ndarray
    rating: np.ndarray
    time: np.ndarray
    fold: np.ndarray
    user_names: tuple[str, ...]
    item_names: tuple[str, ...]


class FoldedRatings(abc.ABC):
    """A reader of ratings, for data/ratings.py: "test" is one fold, "base" are all the others.

    A subclass has `name`, `synthetic`, `fingerprint()` as any reader, and the table `whole`.

    Attributes:
        scale: the lowest and the highest rating that there is.
        splits: how many ratings "base" and "test" have.
    """

    name: str
    synthetic: bool
    scale: tuple[float, float]

    def __init__(self, fold: int):
        self.fold, there = fold, set(self.whole.fold.tolist())
        if fold not in there:
            raise UserError(f"{self.name} has the folds 1 to {max(there)}, and no fold {fold}.")
        low, high = self.scale
        outside = ~((self.whole.rating >= low) & (self.whole.rating <= high))  # of NaN too
        if outside.any():
            i = int(np.argmax(outside))
            user, item = self.whole.user[i], self.whole.item[i]
            raise UserError(
                f"{self.name} has a rating of {self.whole.rating[i]:g}, by user "
                f"{self.whole.user_names[user]} of {self.whole.item_names[item]!r}, out of the scale of "
                f"{low:g} to {high:g} ({outside.sum():,} such in all): mend them or take them out."
            )
        test = self.whole.fold == fold
        # Mixed: a slice of a split is a fair sample.
        base = np.flatnonzero(~test)
        self._places = {"base": base[mixed(len(base))], "test": np.flatnonzero(test)}
        self.splits = {name: len(places) for name, places in self._places.items()}

    @property
    @abc.abstractmethod
    def whole(self) -> Table:
        """All ratings."""

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Tells whether the data, or the fold, have changed."""

    def places(self, split: str) -> np.ndarray:
        """Where in `whole` the ratings of a split are, in a fixed order."""
        if split not in self._places:
            raise UserError(f"{self.name} has no split {split!r}.{nearest(split, self._places)}")
        return self._places[split]
