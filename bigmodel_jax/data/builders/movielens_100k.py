"""MovieLens-100k (Harper and Konstan 2015): 100,000 ratings of films, in five published folds.

The README in the archive has its terms: for research, and not to be passed on, so neither is what is
prepared of it.
"""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from bigmodel_jax.data.array_record import ArrayRecordBuilder
from bigmodel_jax.errors import UserError

FOLDS = 5
Row = tuple[int, int, int, int]  # user, item, rating, time


class Builder(ArrayRecordBuilder, skip_registration=True):
    """A record for each user: "user", and of each of their ratings "item", its "title", "rating" 1 to
    5, "time" in seconds since 1970, and "fold" 1 to 5, in whose test part it is; in the order of time.
    """

    name = "movielens_100k"
    VERSION = tfds.core.Version("1.0.0")
    URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
    SIZE = 4_924_029
    SHA256 = "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
    EXAMPLES = 943
    SOURCES = "ml-100k.zip or the folder extracted from it"

    def __init__(
        self,
        *,
        data_dir: str,
        source: Path,
        progress: Callable[[int], None] = lambda n: None,
        count: int = 100_000,
    ):
        self._source, self._progress, self._count = Path(source), progress, count
        super().__init__(data_dir=data_dir)

    def _info(self):
        rating = {
            "item": np.int32,
            "title": tfds.features.Text(),
            "rating": np.float32,
            "time": np.int64,
            "fold": np.int32,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Ratings of films by users, 1 to 5, in five folds.",
            features=tfds.features.FeaturesDict(
                {"user": np.int32, "ratings": tfds.features.Sequence(rating)}
            ),
            homepage="https://grouplens.org/datasets/movielens/100k/",
        )

    def _split_generators(self, dl_manager):
        # All is read before anything is written: a damaged archive is refused at once.
        rows, folds, titles = self._rows("u.data"), self._folds(), self._titles()
        if len(rows) != self._count:
            raise self._damaged("u.data", f"has {len(rows):,} ratings, not the {self._count:,}")
        if set(rows) != folds.keys() or len(folds) != len(rows):
            raise self._damaged("u1.test to u5.test", "do not hold each rating of u.data once, as")
        for fold in range(1, FOLDS + 1):
            if set(self._rows(f"u{fold}.base")) != {row for row in folds if folds[row] != fold}:
                raise self._damaged(f"u{fold}.base", f"is not what u{fold}.test leaves, as")
        if unknown := {item for _, item, _, _ in rows} - titles.keys():
            raise self._damaged("u.item", f"has no title of item {min(unknown)}, which it has as")
        return {"users": self._generate_examples(rows, folds, titles)}

    def _generate_examples(self, rows, folds, titles):
        by_user: dict[int, list[Row]] = {}
        for row in sorted(rows, key=lambda row: (row[3], row[1])):
            by_user.setdefault(row[0], []).append(row)
        for user, given in by_user.items():
            self._progress(1)
            ratings = [
                {
                    "item": i,
                    "title": titles[i],
                    "rating": r,
                    "time": t,
                    "fold": folds[user, i, r, t],
                }
                for _, i, r, t in given
            ]
            yield user, {"user": user, "ratings": ratings}

    def _folds(self) -> dict[Row, int]:
        """The fold of each rating of the five test parts; one that is in two of them has the last."""
        return {row: fold for fold in range(1, FOLDS + 1) for row in self._rows(f"u{fold}.test")}

    def _titles(self) -> dict[int, str]:
        lines = self._read("u.item").decode("latin-1").splitlines()
        fields = [line.split("|") for line in lines]
        return {int(item): title for item, title, *_ in fields if item.isdigit()}

    def _rows(self, name: str) -> list[Row]:
        rows = []
        for number, line in enumerate(self._read(name).decode("latin-1").splitlines(), 1):
            fields = line.split("\t")
            if (
                len(fields) != 4
                or not all(map(str.isdecimal, fields))
                or not 0 < int(fields[2]) < 6
            ):
                raise UserError(
                    f"{self._source}: {name} line {number}: {line[:40]!r} is not a user, an item, a "
                    "rating of 1 to 5 and a time, with tabs between. Nothing was prepared."
                )
            rows.append(tuple(map(int, fields)))
        return rows

    def _read(self, name: str) -> bytes:
        try:
            if self._source.is_dir():
                inner = self._source / "ml-100k"
                return ((inner if inner.is_dir() else self._source) / name).read_bytes()
            with zipfile.ZipFile(self._source) as archive:
                return archive.read(f"ml-100k/{name}")
        except (OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(
                f"{self._source}: {name} cannot be read ({error}): --from is {self.SOURCES}. Nothing "
                "was prepared."
            ) from error

    def _damaged(self, name: str, what: str) -> UserError:
        return UserError(
            f"{self._source}: {name} {what} published: it is not the whole of MovieLens-100k. Nothing "
            "was prepared."
        )
