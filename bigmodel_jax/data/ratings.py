"""A source of ratings: a row is a user, with what they rated before and what is to be predicted.

Users and items are those of the training part, numbered from 1; 0 is one that it does not have, and
padding. So a rating of an item that nobody rated in training is predicted without the item.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import splits as splitting
from bigmodel_jax.data.checks import check_batch_size, check_fingerprint
from bigmodel_jax.data.corpus import find_split
from bigmodel_jax.data.order import Epochs, Plan, batches_per_epoch, plan_epoch
from bigmodel_jax.errors import UserError

ASSETS = "ratings.npz"


class Known(NamedTuple):
    """What the training part knows, and a later prediction needs.

    Attributes:
        users: their names; row 0, of nobody, is "".
        items: their titles; so too.
        history: int32 [users, longest], the items that each user rated, in the order of time, the
            newest last; 0 is padding.
    """

    users: np.ndarray
    items: np.ndarray
    history: np.ndarray


class Source:
    """Batches of users: {"user" int32 [rows], "history" int32 [rows, longest], "item" int32 [rows,
    most], "rating" float32 [rows, most], "mask" bool [rows, most], "valid" bool [rows]}.

    "history" is as of Known, and the same in every split: of the training part. "item" and "rating" are
    of the split, True in "mask" where there is one; of the training part they are the history itself.

    Args:
        reader: spec of a reader of ratings (data/rating_tables.py).
        splits: slices of its "base" and "test" by name; see data/splits.py.
        length: while training, a user's ratings are cut into rows of at most so many, of which little is
            padding; None keeps them in one.
        batch_size: rows a step, over all processes.
        fingerprint, split, training, seed, group, data_dir, process: as in data/text.py.

    Attributes:
        examples: rows; without `length`, users who have ratings in the split.
        ratings: how many the split has.
        unknown: of "users" and of "items", who it is in each rating of the split whom the training part
            does not have, int [ratings].
        popularity: int64 [items], how many ratings of each item the training part has.
    """

    applied = "recommendations"

    def __init__(
        self,
        *,
        reader: Mapping,
        splits: Mapping[str, str],
        batch_size: int,
        length: int | None = None,
        fingerprint: str = "",
        split: str = "train",
        training: bool = True,
        seed: int = 0,
        group: int = 1,
        data_dir: str = "",
        process: tuple[int, int] = (0, 1),
    ):
        self.batch_size, self.training, self.seed, self.group = batch_size, training, seed, group
        self.process, self._splits = process, splits
        check_batch_size(batch_size, process[1])
        if length is not None and length < 1:
            raise UserError(f"config.data.length is {length}: ratings of a row, 1 or more.")
        self._reader = config.build("data.readers", reader, data_dir=data_dir)
        self.reader_name, self.synthetic = self._reader.name, self._reader.synthetic
        self.fingerprint = hashlib.sha256(self._reader.fingerprint().encode()).hexdigest()
        check_fingerprint(self.reader_name, self.fingerprint, fingerprint)
        whole, train, chosen = self._reader.whole, self._chosen("train"), self._chosen(split)
        users, user = _numbered(whole.user, train)
        items, item = _numbered(whole.item, train)
        self.popularity = np.bincount(item[train], minlength=len(items) + 1)
        rated = {"history": item[train]}
        history = _lists(user[train], whole.time[train], len(users) + 1, rated)["history"]
        self.known = Known(
            np.array(["", *(whole.user_names[i] for i in users)]),
            np.array(["", *(whole.item_names[i] for i in items)]),
            history,
        )
        # Rows are of the table's own users: several may be unknown, and be 0 to the model.
        there, row = np.unique(whole.user[chosen], return_inverse=True)
        self.ratings = len(chosen)
        columns = {
            "item": item[chosen],
            "rating": whole.rating[chosen].astype(np.float32),
            "mask": np.ones(len(chosen), bool),
        }
        ids = np.zeros(len(there), np.int32)
        ids[row] = user[chosen]
        self._rows = {"user": ids, **_lists(row, whole.time[chosen], len(there), columns)}
        if training and length is not None:
            self._rows = _cut(self._rows, length)
        self.examples = len(self._rows["user"])
        self.unknown = {
            "users": whole.user[chosen][user[chosen] == 0],
            "items": whole.item[chosen][item[chosen] == 0],
        }
        self.steps_per_epoch = batches_per_epoch(self.examples, batch_size, group)
        self._epochs = Epochs(self._plan, self.steps_per_epoch, training)

    @property
    def info(self) -> dict[str, Any]:
        """What only the data know; the numbers of users, items and tokens are with the unknown one."""
        users, items = len(self.known.users), len(self.known.items)
        return {
            "num_users": users,
            "num_items": items,
            "vocabulary_size": items,
            "rating_scale": self._reader.scale,
        }

    def check_split(self, split: str) -> None:
        """Raises a UserError for an unknown or empty split: evaluators open theirs late."""
        self._chosen(split)

    def peek(self) -> dict[str, np.ndarray]:
        """A batch of this process's share, for shapes."""
        return self.batch(0)

    @staticmethod
    def example(given: Mapping, rows: int) -> dict[str, np.ndarray]:
        """A batch of padding, for the shapes of parameters."""
        del given
        lists = {"history": np.int32, "item": np.int32, "rating": np.float32, "mask": bool}
        one = {"user": np.zeros(rows, np.int32), "valid": np.zeros(rows, bool)}
        return {**one, **{key: np.zeros((rows, 2), dtype) for key, dtype in lists.items()}}

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """The rows of this process in the batch of a step; a pure function of (seed, step)."""
        index, count = self.process
        rows = np.split(self.rows(step), count)[index]
        valid = rows >= 0
        found = {key: values[rows] for key, values in self._rows.items()}
        for values in found.values():
            values[~valid] = 0
        return {**found, "history": self.known.history[found["user"]], "valid": valid}

    def rows(self, step: int) -> np.ndarray:
        """Which rows the batch of a step holds over all processes, [batch_size]; -1 pads."""
        plan, position = self._epochs.at(step)
        return plan.indices[position]

    def save_assets(self, folder: Path) -> None:
        """Writes `known`, for predictions."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / ASSETS, **self.known._asdict())

    def _chosen(self, split: str) -> np.ndarray:
        """Where in the reader's table the ratings of a split are, in its order."""
        expression = find_split(self._splits, split)

        def hashes():
            raise UserError(f"The split {expression!r}: ratings have no texts, and so no hashes.")

        name, positions = splitting.parse(expression, self._reader.splits, hashes)
        return np.sort(self._reader.places(name)[positions])

    def _plan(self, epoch) -> Plan:
        return plan_epoch(
            np.ones(self.examples, np.int64),
            self.batch_size,
            buckets=(1,),
            seed=self.seed,
            epoch=epoch,
            shuffle=self.training,
            group=self.group,
        )


def load_known(folder: Path) -> Known:
    """What `Source.save_assets` wrote."""
    with np.load(folder / ASSETS) as held:
        return Known(**held)


def _numbered(ids: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the ids that the training part has, rising; each of `ids` as its place among them from 1, else
    0, int32)."""
    there = np.unique(ids[train])
    place = np.minimum(np.searchsorted(there, ids), len(there) - 1)
    return there, np.where(there[place] == ids, place + 1, 0).astype(np.int32)


def _lists(
    row: np.ndarray, time: np.ndarray, count: int, columns: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Each column as lists, `[count, most]`: in the order of time, the newest last, 0 before.

    Args:
        row: in which list each value is.
    """
    order = np.lexsort((time, row))
    row, lengths = row[order], np.bincount(row, minlength=count)
    place = lengths.max() - np.cumsum(lengths)[row] + np.arange(len(row))
    lists = {key: np.zeros((count, lengths.max()), x.dtype) for key, x in columns.items()}
    for key, values in columns.items():
        lists[key][row, place] = values[order]
    return lists


def _cut(rows: Mapping[str, np.ndarray], length: int) -> dict[str, np.ndarray]:
    """Each of some rows as several, of `length` ratings, those without any left out."""
    count, most = rows["mask"].shape
    padding = ((0, 0), (-most % length, 0))
    lists = {k: np.pad(x, padding).reshape(-1, length) for k, x in rows.items() if x.ndim == 2}
    real = lists["mask"].any(1)
    user = np.repeat(rows["user"], lists["mask"].shape[0] // count)
    return {k: x[real] for k, x in {"user": user, **lists}.items()}
