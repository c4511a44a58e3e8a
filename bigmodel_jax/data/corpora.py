"""Unlabelled text as documents: files of the user's own, or the texts of any reader.

    corpus = Files(["books/", "web/*.jsonl.zst"])    or    Readings(dict(name="tfds", dataset=...), ...)
    for shard in corpus.shards("train"):             # the same shards on every machine
        for piece in corpus.read("train", shard):    # anywhere: a corpus can be sent to a process
            ...

.jsonl, .csv, .tsv and .parquet hold a document a record; any other file is one document of plain
text; all but .parquet perhaps compressed (.gz, .zst). Where all files are named after splits
(train.txt, val-00001-of-00002.jsonl, DIR/test/...), each is of its split; else all are "train".
"""

import glob
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import records
from bigmodel_jax.data import splits as splitting
from bigmodel_jax.data.compressed import CODECS, extension
from bigmodel_jax.data.corpus import positions
from bigmodel_jax.data.layout import SPLITS, split_of
from bigmodel_jax.data.plain_text import Piece, clean_cuts, pieces
from bigmodel_jax.data.readers import Unavailable, texts_of
from bigmodel_jax.errors import UserError

SHARD = 16 << 20  # bytes of files that are read and tokenised together
EXAMPLES = 4096  # of a reader
RECORDS = (".jsonl", ".csv", ".tsv", ".parquet")


class Part(NamedTuple):
    """Some of a file, in bytes; of one that is read from end to end all, 0 to its size."""

    path: str
    start: int
    stop: int


class Files:
    """Documents of files.

    Args:
        paths: files, folders (all that they hold, at any depth) and patterns.
        text_column: the name of the column, or key, that holds the text.

    Raises:
        Unavailable: there is nothing at one of `paths`.
        UserError: some files are named after splits, and others not.
    """

    def __init__(self, paths: Sequence[str], text_column: str = "text"):
        self._columns = {"text_column": text_column}
        self.name = " ".join(map(str, paths))
        self._files = by_split(paths)
        self.splits = tuple(self._files)

    def size(self, split: str) -> int:
        """Bytes, for a progress bar."""
        return sum(file.stat().st_size for file in self._files[split])

    def sources(self, split: str) -> list[dict[str, Any]]:
        """What the documents are read from: path, size, time of change (ns) of each file."""
        stats = [(file, file.stat()) for file in self._files[split]]
        return [
            {"path": str(file), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
            for file, stat in stats
        ]

    def identity(self) -> dict[str, Any]:
        """What decides the documents, as JSON has it."""
        return {"columns": self._columns, "files": {s: self.sources(s) for s in self.splits}}

    def shards(self, split: str) -> Sequence[Any]:
        """Lists of parts, of about SHARD bytes: many small files, one file, or some of a large one."""
        shards: list[list[Part]] = []
        room = 0
        for file in self._files[split]:
            for start, stop in _ranges(file):
                if not shards or room < stop - start:
                    shards.append([])
                    room = SHARD
                shards[-1].append(Part(str(file), start, stop))
                room -= stop - start
        return shards

    def read(self, split: str, shard: Any) -> Iterator[Piece]:
        """The documents of a shard, of long ones pieces."""
        for part in shard:
            path = Path(part.path)
            if extension(path) not in RECORDS:
                yield from pieces(path, part.start, part.stop)
                continue
            span = (part.start, part.stop) if _cuttable(path) else None
            for place, (text,) in records.read(path, self._columns, span):
                if not isinstance(text, str):
                    raise UserError(f"{place}: the text is a string, not {text!r:.40}.")
                yield Piece(text, place)


class Readings:
    """Documents of a reader: the text of each example, in the reader's order.

    Args:
        spec: of the reader; see data/readers.
        data_dir: where prepared data are.
    """

    def __init__(self, spec: Mapping, data_dir: str):
        self._arguments = spec, data_dir
        self._reader = config.build("data.readers", spec, data_dir=data_dir)
        self.name, self.synthetic = self._reader.name, self._reader.synthetic
        self.sizes: dict[str, int] = self._reader.splits
        self.splits = tuple(self.sizes)

    def __reduce__(self):
        return Readings, self._arguments

    def size(self, split: str) -> int:
        """Examples, for a progress bar."""
        return self.sizes[split]

    def sources(self, split: str) -> list[dict[str, Any]]:
        """What the documents are read from."""
        return [{"reader": self.name, "split": split, "sha256": self._reader.fingerprint()}]

    def identity(self) -> dict[str, Any]:
        """What decides the documents, as JSON has it."""
        return {"reader": self._reader.fingerprint()}

    def shards(self, split: str) -> Sequence[Any]:
        """Ranges of positions in the split."""
        count = self.sizes[split]
        return [range(i, min(i + EXAMPLES, count)) for i in range(0, count, EXAMPLES)]

    def read(self, split: str, shard: Any) -> Iterator[Piece]:
        """The texts at some positions."""
        for position, example in zip(shard, self._reader.examples(split, shard), strict=True):
            yield Piece("\n".join(texts_of(example)), f"{self.name} {split} example {position}")

    def positions(self, expression: str) -> np.ndarray:
        """Where the examples of a slice are, as data/splits.py has it."""
        return positions(self._reader, expression, self._arguments[1])

    def texts(self, expression: str) -> Iterator[str]:
        """The texts of a slice."""
        name = splitting.split_name(expression)
        for example in self._reader.examples(name, self.positions(expression)):
            yield from texts_of(example)


Corpus = Files | Readings


def fingerprint(corpus: Corpus, **more) -> str:
    """A short name for a corpus and what is made of it."""
    text = json.dumps({"corpus": corpus.identity(), **more}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def by_split(paths: Sequence[str]) -> dict[str, list[Path]]:
    """The files that paths and patterns name, absolute, by the splits they are named after.

    Raises:
        Unavailable: there is nothing at one of `paths`.
        UserError: some are named after splits and others not, or none is train.
    """
    found = dict.fromkeys(file for path in paths for file in _files(str(path)))  # each once
    named = {file: split_of(file) or SPLITS.get(file.parent.name) for file in found}
    if not any(named.values()):
        return {"train": list(found)}
    where, splits = " ".join(map(str, paths)), {}
    for file, split in named.items():
        if split is None:
            raise UserError(
                f"{where}: some files are named after a split, {file.name} is not; name files of one "
                "kind."
            )
        splits.setdefault(split, []).append(file)
    if "train" not in splits:
        raise UserError(f"{where} holds no train split, but only {', '.join(splits)}.")
    return splits


def _files(path: str) -> list[Path]:
    """The files that a path or a pattern names, absolute, in the order of their names."""
    root = Path(path).expanduser()
    if root.is_file():
        return [root.absolute()]
    if root.is_dir():
        inside = (p for p in root.absolute().rglob("*") if p.is_file())
        found = sorted(p for p in inside if not _hidden(p.relative_to(root.absolute())))
        if not found:
            raise Unavailable(f"{path} holds no files.")
        return found
    if not glob.has_magic(path):
        raise Unavailable(f"There is no file or folder {path}.")
    found = [Path(p).absolute() for p in sorted(glob.glob(str(root), recursive=True))]
    found = [p for p in found if p.is_file()]
    if not found:
        raise Unavailable(f"There is no file like {path}.")
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _cuttable(path: Path) -> bool:
    """Whether a file can be entered in its middle, at a line."""
    packed = path.suffix.lower() in CODECS
    return not packed and extension(path) not in (".csv", ".tsv", ".parquet")


def _ranges(path: Path) -> Iterator[tuple[int, int]]:
    """Where a file is cut: between lines, where it can be."""
    size = path.stat().st_size
    cuts = clean_cuts(path, size, SHARD, extension(path) == ".jsonl") if _cuttable(path) else []
    ends = [0, *cuts, size]
    yield from zip(ends, ends[1:], strict=False)
