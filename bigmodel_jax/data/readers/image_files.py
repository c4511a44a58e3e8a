"""The user's own images: class folders, an archive of them, tables, idx files, NumPy arrays."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_jax.data.image_sets import arrays, folders, idx, tables
from bigmodel_jax.data.pixels import Unreadable
from bigmodel_jax.data.readers import Unavailable, mixed
from bigmodel_jax.errors import UserError, nearest


class Reader:
    """Labelled images at a path, of any layout in data/image_sets.

    Args:
        path: a folder, .zip, .tar, .npz, .csv, .tsv, .jsonl or .parquet.
        image_column, label_column: of tables.
        labelled: images lie in folders of classes; without it in any, for learning without labels.

    Raises:
        Unavailable: there is nothing at `path`.
        UserError: what is there is none of those, is damaged, or has faults; names them.
    """

    synthetic = False

    def __init__(
        self,
        path: str = "",
        image_column: str = "image",
        label_column: str = "label",
        labelled: bool = True,
        data_dir: str | None = None,
    ):
        del data_dir  # for prepared data sets
        if not path:
            raise UserError(
                "Where are your images? --config.data.path=FOLDER_OR_ARCHIVE names them."
            )
        self.labelled = labelled
        self._set = open_set(Path(path).expanduser(), image_column, label_column, labelled)
        self.name, self.label_names = self._set.name, self._set.label_names
        self.splits = {split: len(labels) for split, labels in self._set.labels.items()}

    def fingerprint(self) -> str:
        """sha256 of what the set says of itself: see its `identity`."""
        digest = hashlib.sha256()
        for line in self._set.identity():
            digest.update(f"{line}\n".encode())
        return digest.hexdigest()

    def examples(self, split: str, indices: Sequence[int] | None = None) -> Iterator[dict]:
        """Yields {"image": bytes or uint8 array, "label": int}, in a fixed mixed order.

        Where a file cannot be read, "image" is the pixels.Unreadable that says why.
        """
        if split not in self.splits:
            raise UserError(f"{self.name} has no split {split!r}.{nearest(split, self.splits)}")
        order = mixed(self.splits[split])
        for i in order if indices is None else order[np.asarray(indices, np.int64)]:
            try:
                image = self._set.read(split, int(i))
            except Unreadable as error:
                image = error
            yield {"image": image, "label": int(self._set.labels[split][i])}

    def place(self, split: str, i: int) -> str:
        """What to call an image in a message."""
        return self._set.place(split, int(mixed(self.splits[split])[i]))


def open_set(
    path: Path, image_column: str = "image", label_column: str = "label", labelled: bool = True
) -> Any:
    """The images at a path; see image_sets."""
    if not path.exists():
        raise Unavailable(f"There is no file or folder {path}.")
    if idx.is_here(path):
        return idx.Set(path)
    if path.suffix.lower() == ".npz":
        return arrays.Set(path)
    if tables.is_here(path):
        return tables.Set(path, image_column, label_column)
    if path.is_dir() or path.suffix.lower() in folders.ARCHIVES:
        return folders.Set(path, labelled)
    kinds = ", ".join(("a folder", *folders.ARCHIVES, ".npz", *tables.EXTENSIONS))
    raise UserError(f"{path} is none of the kinds that hold images: {kinds}.")
