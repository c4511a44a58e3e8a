"""Reads the user's own labelled texts: a file, or a folder of files or of classes.

reviews.csv                          one file (.csv .tsv .jsonl .txt): all of it is "train"
DIR/train.csv  DIR/test.csv          a file a split; also val, valid, validation or dev
DIR/train/CLASS/*  DIR/test/CLASS/*  a folder of class folders a split
DIR/CLASS/*                          class folders: all is "train"
"""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bigmodel_jax.data.readers import Unavailable, mixed
from bigmodel_jax.data.records import PARSERS, ClassFolder, TextFile, visible
from bigmodel_jax.errors import UserError, nearest

SPLITS = {
    "train": "train",
    "test": "test",
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}


class Reader:
    """Labelled texts from files.

    The labels are those of the train split, sorted (as numbers where all are numbers). Everything
    is read once here, to check it; the texts are read again when they are asked for.

    Args:
        path: a file or a folder, laid out as the module's docstring says.
        text_column: the name of the text's column (.csv, .tsv) or key (.jsonl).
        label_column: the same, of the label.

    Raises:
        Unavailable: there is nothing at `path`.
        UserError: anything wrong in the files, with the file and the line.
    """

    synthetic = False

    def __init__(
        self,
        path: str,
        text_column: str = "text",
        label_column: str = "label",
        data_dir: str | None = None,
    ):
        del data_dir  # for prepared data sets
        root = Path(path).expanduser()
        if not root.exists():
            raise Unavailable(f"There is no file or folder {path}.")
        self.name = root.resolve().stem if root.is_file() else root.resolve().name
        self._files = layout(root, text_column, label_column)
        self._positions: dict[str, np.ndarray] = {}
        self._labels: dict[str, np.ndarray] = {}
        digest = hashlib.sha256(repr((text_column, label_column)).encode())
        ids: dict[str, int] = {}
        for split in sorted(
            self._files, key=lambda s: s != "train"
        ):  # train first: it has the labels
            digest.update(f"\n{split}\n".encode())
            self._scan(split, ids, digest)
        self.label_names = tuple(sorted(ids, key=_label_order(ids)))
        if len(ids) < 2:
            raise UserError(
                f"All examples of {self._files['train'].path} have the label {[*ids][0]!r}."
            )
        final = np.array([self.label_names.index(label) for label in ids], np.int32)
        self._labels = {split: final[found] for split, found in self._labels.items()}
        self.splits = {split: len(found) for split, found in self._labels.items()}
        self._digest = digest.hexdigest()

    def _scan(self, split: str, ids: dict[str, int], digest) -> None:
        """Notes where a split's examples are and their labels, numbered as they appear."""
        positions, labels = array("q"), array("i")
        for found in self._files[split].scan(digest):
            if split != "train" and found.label not in ids:
                raise UserError(
                    f"{found.place}: the label {found.label!r} is not among those of the train "
                    f"split.{nearest(found.label, ids)}"
                )
            positions.append(found.position)
            labels.append(ids.setdefault(found.label, len(ids)))
        if not positions:
            raise UserError(f"{self._files[split].path} holds no examples.")
        self._positions[split] = np.array(positions, np.int64)
        self._labels[split] = np.array(labels, np.int32)

    def fingerprint(self) -> str:
        """sha256 over the contents of all files."""
        return self._digest

    def examples(self, split: str, indices: Sequence[int] | None = None) -> Iterator[dict]:
        """Yields {"text": str, "label": int}, mixed the same way each time."""
        if split not in self.splits:
            raise UserError(f"{self.name} has no split {split!r}.{nearest(split, self.splits)}")
        chosen = mixed(self.splits[split])
        if indices is not None:
            chosen = chosen[np.asarray(indices, np.int64)]
        texts = self._files[split].texts(self._positions[split][chosen].tolist())
        for text, label in zip(texts, self._labels[split][chosen].tolist(), strict=True):
            yield {"text": text, "label": label}


def layout(root: Path, text_column: str, label_column: str) -> dict[str, TextFile | ClassFolder]:
    """What holds each split of the data at `root`; always has "train"."""
    if root.is_file():
        return {"train": TextFile(root, text_column, label_column)}
    inside = visible(root)
    files = [p for p in inside if p.is_file() and p.stem in SPLITS and p.suffix.lower() in PARSERS]
    folders = [p for p in inside if p.is_dir()]
    named = files or [p for p in folders if p.name in SPLITS]
    if not named and folders:
        return {"train": ClassFolder(root)}
    found: dict[str, Path] = {}
    for path in named:
        split = SPLITS[path.stem]
        if split in found:
            raise UserError(f"Both {found[split]} and {path} would be the {split} split: keep one.")
        found[split] = path
    if "train" not in found:
        raise UserError(
            f"{root} holds no train split: it needs a file train{', train'.join(PARSERS)}, "
            "a folder train of class folders, or class folders."
        )
    return {
        split: TextFile(path, text_column, label_column) if path.is_file() else ClassFolder(path)
        for split, path in found.items()
    }


def _label_order(labels):
    """A sort key: by value where all labels are numbers, else by characters."""
    try:
        values = {label: float(label) for label in labels}
    except ValueError:
        return lambda label: label
    return lambda label: (values[label], label)
