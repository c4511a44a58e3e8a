"""Reads a prepared data set of ratings in published folds, such as MovieLens-100k."""

from functools import cached_property

import numpy as np

from bigmodel_jax.data import prepared
from bigmodel_jax.data.rating_tables import FoldedRatings, Table
from bigmodel_jax.data.readers.tfds import open_prepared


class Reader(FoldedRatings):
    """Ratings 1 to 5 of a data set with the features of data/builders/movielens_100k.py.

    Args:
        dataset: "movielens_100k".
        fold: which of the published folds is the test part, 1 up.

    Raises:
        Unavailable: not prepared in `data_dir`.
        UserError: there is no such fold.
    """

    synthetic = False
    scale = (1.0, 5.0)

    def __init__(self, dataset: str, fold: int = 1, data_dir: str | None = None):
        self.name = dataset
        self._folder, self._builder = open_prepared(dataset, data_dir)
        super().__init__(fold)

    def fingerprint(self) -> str:
        """The hash that was taken when the data set was prepared, and the fold."""
        return f"{prepared.recorded_fingerprint(self._folder)}-{self.fold}"

    @cached_property
    def whole(self) -> Table:
        source = self._builder.as_data_source("users")
        records = source.__getitems__(list(range(len(source))))
        records.sort(key=lambda record: int(record["user"]))
        columns = {
            key: np.concatenate([r["ratings"][key] for r in records])
            for key in ("item", "title", "rating", "time", "fold")
        }
        users = np.array([r["user"] for r in records])
        counts = [len(r["ratings"]["item"]) for r in records]
        items, item = np.unique(columns["item"], return_inverse=True)
        titles = dict(zip(columns["item"].tolist(), columns["title"].tolist(), strict=True))
        return Table(
            user=np.repeat(np.arange(len(users)), counts),
            item=item,
            rating=columns["rating"],
            time=columns["time"],
            fold=columns["fold"],
            user_names=tuple(map(str, users.tolist())),
            item_names=tuple(titles[i].decode("utf-8") for i in items.tolist()),
        )
