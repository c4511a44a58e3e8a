"""Files and folders of examples: scanned once from end to end, then read at any positions.

Texts are never in memory together. Every error names the file and the line, or the row.
"""

import codecs
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bigmodel_jax.data.compressed import check_signature, extension
from bigmodel_jax.data.limit import Limit
from bigmodel_jax.data.lines import Lines, decode, not_utf8
from bigmodel_jax.data.records import PARSERS, Parse
from bigmodel_jax.data.unpacked import PACKED, unpack
from bigmodel_jax.errors import UserError, nearest

EXTENSIONS = (*PARSERS, ".parquet")
BLOCK = 1 << 20  # bytes of a text file that are checked at once


class Found(NamedTuple):
    """Where an example is, for `open` and for an error message, and its label as it is written."""

    position: int
    place: str
    label: Any


# The texts of the example at a position: one, or two of a pair.
Get = Callable[[int], list[str]]


class TextFile:
    """One file of examples; the extension says how it is written.

    .csv has a header and quotes as in RFC 4180, .tsv a header and no quotes, .jsonl an object a
    line, .txt a label, a tab and the text; UTF-8, with or without a byte-order mark, and perhaps
    compressed (.gz, .zst). Or .parquet.

    Args:
        columns: names by the option that sets them, as it is typed: of the text, the label, and
            perhaps of a second text.
        cache: where what is packed is unpacked.
    """

    def __init__(self, path: Path, columns: Mapping[str, str], cache: Path):
        self.path, self._columns, self._cache = path, columns, cache
        self.files = [path]
        kind = extension(path)
        if kind not in EXTENSIONS:
            raise UserError(f"{path}: unknown extension {kind!r}.{nearest(kind, EXTENSIONS)}")
        if kind == ".txt" and len(columns) > 2:
            raise UserError(f"{path}: a .txt file has no columns; a pair needs another format.")
        self._unit = "row" if kind == ".parquet" else "line"
        self._unpacked: tuple[object, Path] | None = None  # the state it is of, and where it is
        self._parse: tuple[object, Parse] | None = None

    def size(self) -> int:
        """Bytes that `scan` reads."""
        return self._plain().stat().st_size

    def scan(self, digest) -> Iterator[Found]:
        """Yields every example's place and label, checking all; feeds the bytes to `digest`."""
        plain = self._plain()
        with plain.open("rb") as file:
            check_signature(plain, file.read(4))
            file.seek(0)
            lines = Lines(self.path, file, digest)
            parse = self._parser(plain)(lines, self._columns)
            position = lines.position
            for line, (text, label, *pair) in parse(lines):
                place = f"{self.path} {self._unit} {line}"
                if not all(isinstance(value, str) for value in (text, *pair)):
                    raise UserError(f"{place}: the text is a string, not {text!r:.40}.")
                yield Found(position, place, label)
                position = lines.position

    @contextmanager
    def open(self, limit: Limit | None = None) -> Iterator[Get]:
        """Gives a function that reads the texts at a position which `scan` gave."""
        plain = self._plain()
        with plain.open("rb") as file:
            state = plain, _state(plain)
            if self._parse is None or self._parse[0] != state:  # a CSV file's reads its header
                parser = self._parser(plain)
                self._parse = state, parser(Lines(self.path, file), self._columns)
            parse = self._parse[1]

            def get(position: int) -> list[str]:
                file.seek(position)
                _, (text, _, *pair) = next(parse(Lines(self.path, file, position=position)))
                return [text, *pair]

            yield get

    def _parser(self, plain: Path):
        return PARSERS[plain.suffix.lower()]

    def _plain(self) -> Path:
        """The file itself, or where it is unpacked: found once, for that takes reading all of it."""
        if self.path.suffix.lower() not in PACKED:
            return self.path
        state = _state(self.path)
        known = self._unpacked
        if known is None or known[0] != state or not known[1].is_file():
            self._unpacked = known = state, unpack(self.path, self._columns, self._cache)
        return known[1]


class ClassFolder:
    """A folder of folders, CLASS/FILE: a file is a text, its folder's name the label."""

    def __init__(self, path: Path):
        self.path = path
        self.files: list[Path] = []
        for folder in visible(path):
            files = [p for p in visible(folder) if p.is_file()] if folder.is_dir() else []
            if folder.is_dir() and not files:
                raise UserError(f"{folder} holds no files: a class needs examples.")
            self.files += files

    def size(self) -> int:
        """Bytes that `scan` reads."""
        return sum(path.stat().st_size for path in self.files)

    def scan(self, digest) -> Iterator[Found]:
        """Yields every file's place and label; checks the bytes, and feeds them to `digest`."""
        for position, path in enumerate(self.files):
            digest.update(f"{path.parent.name}/{path.name}:{path.stat().st_size}\n".encode())
            self._check(path, digest)
            yield Found(position, str(path), path.parent.name)

    def _check(self, path: Path, digest) -> None:
        """Feeds a file's bytes to `digest`, a block at a time, and refuses what is not UTF-8."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        with path.open("rb") as file:
            while True:
                block = file.read(BLOCK)
                digest.update(block)
                try:
                    decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    position = file.tell() - len(error.object) + error.start
                    raise not_utf8(str(path), error.object[error.start], position) from error
                if not block:
                    return

    @contextmanager
    def open(self, limit: Limit | None = None) -> Iterator[Get]:
        """Gives a function that reads the text of a file; of one that `limit` cuts, not all of it."""

        def get(position: int) -> list[str]:
            path = self.files[position]
            with path.open("rb") as file:
                size = file.seek(0, 2)
                enough = 4 * limit.characters + 4 if limit else size  # bytes for more characters
                if size <= 2 * enough:
                    file.seek(0)
                    return [decode(file.read(), str(path))]
                ends = {"head": (0,), "tail": (size - enough,), "both": (0, size - enough)}
                parts = []
                for start in ends[limit.keep if limit else "both"]:
                    file.seek(start)
                    parts.append(file.read(enough).decode("utf-8", "ignore"))
            return ["".join(parts)]

        yield get


def _state(path: Path) -> tuple[int, int, int]:
    """What is another as soon as the file's content is another."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def visible(folder: Path) -> list[Path]:
    """What a folder holds, but hidden files, in the order of the names."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
