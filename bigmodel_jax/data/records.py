"""Labelled texts in the user's files: CSV, TSV, JSONL, "label<TAB>text", folders of classes.

A file is read once from end to end for positions and labels, then at those positions, in any order;
its texts are never in memory together. Every error names the file and the line.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bigmodel_jax.errors import UserError, nearest

MAX_FIELD = 16 << 20  # characters; a quote that never closes ends here, not with the file


class Found(NamedTuple):
    """Where an example is: for `texts`, for an error message, and its label."""

    position: int
    place: str
    label: str


class TextFile:
    """One file of examples; the extension says how it is written.

    .csv has a header and quotes as in RFC 4180, .tsv a header and no quotes, .jsonl an object a
    line, .txt a label, a tab and the text. UTF-8, with or without a byte-order mark.
    """

    def __init__(self, path: Path, text_column: str, label_column: str):
        self.path, self._columns = path, (text_column, label_column)
        if path.suffix.lower() not in PARSERS:
            raise UserError(
                f"{path}: unknown extension {path.suffix!r}.{nearest(path.suffix, PARSERS)}"
            )
        self._parser = PARSERS[path.suffix.lower()]

    def scan(self, digest: "hashlib._Hash") -> Iterator[Found]:
        """Yields every example's place and label, checking all; feeds the bytes to `digest`."""
        with self.path.open("rb") as file:
            lines = Lines(self.path, file, digest)
            parse = self._parser(lines, *self._columns)
            position = lines.position
            for line, _, label in parse(lines):
                if not label.strip():
                    raise UserError(f"{self.path} line {line}: the label is empty.")
                yield Found(position, f"{self.path} line {line}", label.strip())
                position = lines.position

    def texts(self, positions: Iterable[int]) -> Iterator[str]:
        """Yields the texts at positions that `scan` gave, in any order."""
        with self.path.open("rb") as file:
            parse = self._parser(Lines(self.path, file), *self._columns)
            for position in positions:
                file.seek(position)
                _, text, _ = next(parse(Lines(self.path, file)))
                yield text


class ClassFolder:
    """A folder of folders, CLASS/FILE: a file is a text, its folder's name the label."""

    def __init__(self, path: Path):
        self.path = path
        self._files: list[Path] = []

    def scan(self, digest: "hashlib._Hash") -> Iterator[Found]:
        """Yields every file's place and label; feeds the bytes to `digest`."""
        self._files = []
        for folder in visible(self.path):
            files = [p for p in visible(folder) if p.is_file()] if folder.is_dir() else []
            if folder.is_dir() and not files:
                raise UserError(f"{folder} holds no files: a class needs examples.")
            for path in files:
                raw = path.read_bytes()
                _decode(raw, path, 0, 0)
                digest.update(f"{folder.name}/{path.name}:{len(raw)}\n".encode() + raw)
                self._files.append(path)
                yield Found(len(self._files) - 1, str(path), folder.name)

    def texts(self, positions: Iterable[int]) -> Iterator[str]:
        """Yields the texts at positions that `scan` gave, in any order."""
        for position in positions:
            path = self._files[position]
            yield _decode(path.read_bytes(), path, 0, 0)


def visible(folder: Path) -> list[Path]:
    """What a folder holds, but hidden files, in the order of the names."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


class Lines:
    """A file's lines as text, counted; `position` is where the next one begins, in bytes."""

    def __init__(self, path: Path, file: BinaryIO, digest=None):
        self.path, self.line, self.position = path, 0, file.tell()
        self._file, self._digest = file, digest

    def __iter__(self):
        return self

    def __next__(self) -> str:
        raw = self._file.readline()
        if not raw:
            raise StopIteration
        if self._digest:
            self._digest.update(raw)
        self.line += 1
        text = _decode(raw, self.path, self.line, self.position)
        start, self.position = self.position, self.position + len(raw)
        return text.removeprefix("\ufeff") if start == 0 else text


def _decode(raw: bytes, path: Path, line: int, position: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"{path} line {line}" if line else str(path)
        raise UserError(
            f"{where} is not UTF-8: byte 0x{raw[error.start]:02x} at byte {position + error.start} "
            "of the file. Save the file as UTF-8."
        ) from error


# A parser is made once for a file (it may read a header), then reads examples from any line on:
# parser(lines, text_column, label_column)(lines) -> (line number, text, label), ...
Parse = Callable[[Lines], Iterator[tuple[int, str, str]]]


def _table(lines: Lines, text_column: str, label_column: str, **dialect) -> Parse:
    def rows(lines: Lines) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(MAX_FIELD)
        reader = csv.reader(lines, strict=True, **dialect)
        while True:
            line = lines.line + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise UserError(
                    f"{lines.path} line {line}: {error}. Is a quote in it opened and never closed, "
                    "or not doubled inside a quoted field?"
                ) from error
            if row:
                yield line, row

    _, header = next(rows(lines), (0, []))
    if not header:
        raise UserError(f"{lines.path} is empty.")
    for column in (text_column, label_column):
        if column not in header:
            hint = " Its fields must be separated by commas." if ";" in header[0] else ""
            raise UserError(
                f"{lines.path} line 1 has no column {column!r}. There are: {', '.join(header)}."
                f"{hint} Name them with text_column and label_column."
            )
    text_field, label_field = header.index(text_column), header.index(label_column)

    def parse(lines: Lines) -> Iterator[tuple[int, str, str]]:
        for line, row in rows(lines):
            if len(row) != len(header):
                raise UserError(
                    f"{lines.path} line {line} has {len(row)} fields; the header has {len(header)}."
                )
            yield line, row[text_field], row[label_field]

    return parse


def _csv(lines: Lines, text_column: str, label_column: str) -> Parse:
    return _table(lines, text_column, label_column)


def _tsv(lines: Lines, text_column: str, label_column: str) -> Parse:
    return _table(lines, text_column, label_column, delimiter="\t", quoting=csv.QUOTE_NONE)


def _jsonl(_: Lines, text_column: str, label_column: str) -> Parse:
    def parse(lines: Lines) -> Iterator[tuple[int, str, str]]:
        for raw in filter(str.strip, lines):
            where = f"{lines.path} line {lines.line}"
            try:
                item = json.loads(raw)
            except json.JSONDecodeError as error:
                raise UserError(f"{where} is not JSON: {error}.") from error
            if not isinstance(item, dict):
                raise UserError(f"{where} is not a JSON object, {{...}}.")
            for column in (text_column, label_column):
                if item.get(column) is None:
                    raise UserError(
                        f"{where} has no {column!r}. There are: {', '.join(sorted(item))}. Name "
                        "them with text_column and label_column."
                    )
            text, label = item[text_column], item[label_column]
            if not isinstance(text, str) or isinstance(label, (dict, list)):
                raise UserError(f"{where}: the text is a string, the label a string or a number.")
            yield lines.line, text, label if isinstance(label, str) else json.dumps(label)

    return parse


def _tabbed(*_) -> Parse:
    def parse(lines: Lines) -> Iterator[tuple[int, str, str]]:
        for raw in filter(str.strip, lines):
            label, tab, text = raw.rstrip("\r\n").partition("\t")
            if not tab:
                raise UserError(
                    f"{lines.path} line {lines.line} has no tab between label and text."
                )
            yield lines.line, text, label

    return parse


PARSERS: dict[str, Callable[..., Parse]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".txt": _tabbed,
}
