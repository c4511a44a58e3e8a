"""Reads the user's own labelled texts: a file, files of one pattern, or a folder.

reviews.csv                          one file (.csv .tsv .jsonl .txt .parquet): all of it is "train"
reviews.csv.gz  reviews.jsonl.zst    the same, compressed
data/*.csv                           all files of a pattern, one after another
DIR/train.csv  DIR/test.csv          a file a split; also val, valid, validation or dev
DIR/train-00000-of-00003.parquet     several files a split: train-0, train_0, ...
DIR/train/*.jsonl.gz                 a folder of files a split
DIR/train/CLASS/*  DIR/test/CLASS/*  a folder of class folders a split
DIR/CLASS/*                          class folders: all is "train"
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from bigmodel_jax.data import prepared, tokenized
from bigmodel_jax.data.compressed import extension
from bigmodel_jax.data.layout import layout
from bigmodel_jax.data.limit import Limit
from bigmodel_jax.data.own_files import ClassFolder, Get, TextFile
from bigmodel_jax.data.progress import progress
from bigmodel_jax.data.readers import mixed
from bigmodel_jax.data.scanned import Scan, recall, remember
from bigmodel_jax.data.targets import Collector
from bigmodel_jax.errors import UserError, nearest

OPEN_FILES = 64  # of a split of more files, not all are open together


class Digest:
    """sha256 that tells how many bytes it has been fed."""

    def __init__(self, advance: Callable[[int], None], options: Sequence):
        self._advance, self._hash = advance, hashlib.sha256(repr(options).encode())
        self.hexdigest = self._hash.hexdigest

    def update(self, data: bytes) -> None:
        self._hash.update(data)
        self._advance(len(data))


class Reader:
    """Labelled texts from files.

    The labels are those of the train split, sorted (as numbers where all are numbers). Everything
    is read once here, to check it; the texts are read again when they are asked for. What is
    compressed, or Parquet, is unpacked into the cache first.

    Args:
        path: a file, a folder or a pattern, laid out as the module's docstring says.
        text_column: the name of the text's column (.csv, .tsv, .parquet) or key (.jsonl).
        label_column: the same, of the label.
        pair_column: the same, of a second text, where examples are pairs.
        target: "class"; "labels" for any number of labels an example (a field of several names, or
            a list); "number" for regression.
        label_separator: what is between two names in a field of "labels".

    Raises:
        Unavailable: there is nothing at `path`.
        UserError: anything wrong in the files, with the file and the line.
    """

    synthetic = False
    reads_partly = True  # examples() takes a limit

    def __init__(
        self,
        path: str,
        text_column: str = "text",
        label_column: str = "label",
        pair_column: str | None = None,
        target: str = "class",
        label_separator: str = ",",
        data_dir: str | None = None,
    ):
        columns = {"text_column": text_column, "label_column": label_column}
        columns |= {"pair_column": pair_column} if pair_column else {}
        cache = tokenized.folder(data_dir or prepared.default_data_dir(), "files")
        typed = {f"--config.data.{option}": column for option, column in columns.items()}
        self._text_column, self._cache = text_column, cache
        self.name, self._parts = layout(path, lambda file: TextFile(file, typed, cache))
        self.target, self.pairs = target, pair_column is not None
        if any(isinstance(p, ClassFolder) for parts in self._parts.values() for p in parts) and (
            self.pairs or target != "class"
        ):
            raise UserError(
                f"{path} holds class folders, which have no columns: a target {target!r} or a pair "
                "needs another format."
            )
        options = [columns, target, label_separator]
        self._scan = recall(self._parts, options, cache)
        if self._scan is None:
            labels = Collector(target, label_separator)
            size = sum(part.size() for parts in self._parts.values() for part in parts)
            with progress(f"Checking {self.name}", size, "MB", 10**6, every=20.0) as advance:
                self._scan = self._read(labels, Digest(advance, options))
            remember(self._scan, self._parts, options, cache)
        self.label_names = self._scan.label_names
        self.splits = {split: len(at) for split, at in self._scan.positions.items()}

    def _read(self, labels: Collector, digest: Digest) -> Scan:
        """Reads everything: where the examples are, and their labels."""
        parts, positions = {}, {}
        for split in sorted(self._parts, key=lambda s: s != "train"):  # train has the labels
            digest.update(f"\n{split}\n".encode())
            labels.begin(split)
            part, position = array("i"), array("q")
            for number, file in enumerate(self._parts[split]):
                for found in file.scan(digest):
                    labels.add(found.label, found.place)
                    part.append(number)
                    position.append(found.position)
            if not position:
                raise UserError(f"{self._where(split)} holds no examples.")
            parts[split], positions[split] = np.array(part), np.array(position)
        names, found = labels.finish(self._where("train"))
        return Scan(names, parts, positions, found, digest.hexdigest())

    def _where(self, split: str) -> str:
        parts = self._parts[split]
        return str(parts[0].path if len(parts) == 1 else parts[0].path.parent)

    def fingerprint(self) -> str:
        """sha256 over the contents of all files, and over what is read of them."""
        return self._scan.digest

    def examples(
        self, split: str, indices: Sequence[int] | None = None, limit: Limit | None = None
    ) -> Iterator[dict]:
        """Yields {"text": str, "label": ..., "pair": str}, mixed the same way each time.

        Args:
            limit: what it cuts away need not be read, and may be missing.
        """
        if split not in self.splits:
            raise UserError(f"{self.name} has no split {split!r}.{nearest(split, self.splits)}")
        chosen = mixed(self.splits[split])
        if indices is not None:
            chosen = chosen[np.asarray(indices, np.int64)]
        scan, files = self._scan, self._parts[split]
        labels = scan.labels[split]
        where = zip(scan.parts[split][chosen], scan.positions[split][chosen], chosen, strict=True)
        opened: OrderedDict[int, tuple[ExitStack, Get]] = OrderedDict()  # the last used is last
        try:
            for part, position, i in where:
                if part not in opened:
                    if len(opened) == OPEN_FILES:
                        opened.popitem(last=False)[1][0].close()
                    stack = ExitStack()
                    opened[part] = stack, stack.enter_context(files[part].open(limit))
                opened.move_to_end(part)
                text, *pair = opened[part][1](int(position))
                yield {"text": text, "label": labels[i], **({"pair": pair[0]} if pair else {})}
        finally:
            for stack, _ in opened.values():
                stack.close()

    def field(self, split: str, indices: np.ndarray, name: str) -> list:
        """The values of another column, for which the files are read once more.

        Raises:
            UserError: there is none, or there are no columns.
        """
        columns, found = {"--config.data.text_column": self._text_column, "--slices": name}, []
        for part in self._parts[split]:
            if isinstance(part, ClassFolder) or extension(part.path) == ".txt":
                raise UserError(f"{part.path} has texts and labels, and no column {name!r}.")
            file = TextFile(part.path, columns, self._cache)
            found += [row.label for row in file.scan(hashlib.sha256())]
        return [found[i] for i in mixed(self.splits[split])[np.asarray(indices, np.int64)]]
