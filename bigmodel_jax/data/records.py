"""Parsers of the user's own files: CSV, TSV, JSONL, "label<TAB>text". Errors name file and line.

    parse = PARSERS[".csv"](lines, columns)   # once for a file: it may read a header
    for line, values in parse(lines):         # from any line on
        ...

`columns` are names by the option that sets them, as it is typed: {"--text_column": "text"};
`values` are in their order: strings, of JSONL whatever its values are.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bigmodel_jax.data import parquet
from bigmodel_jax.data.compressed import extension, open_plain
from bigmodel_jax.data.lines import Lines
from bigmodel_jax.errors import UserError

MAX_FIELD = 16 << 20  # characters; a quote that never closes ends here, not with the file

Columns = Mapping[str, str]
Parse = Callable[[Lines], Iterator[tuple[int, list[Any]]]]


def read(
    path: Path, columns: Columns, span: tuple[int, int] | None = None
) -> Iterator[tuple[str, list[Any]]]:
    """(place, values) of each record of a file of any kind but .txt, from begin to end.

    Args:
        span: of a .jsonl file only the lines that begin in these bytes; the first is a line's.
    """
    if extension(path) == ".parquet":
        for number, values in enumerate(parquet.rows(path, columns), 1):
            yield f"{path} row {number}", values
        return
    with open_plain(path) as file:
        start, stop = span or (0, None)
        if start:
            file.seek(start)
        lines = Lines(path, file, position=start, stop=stop)
        since = f" from byte {start}" if start else ""
        parse = PARSERS[extension(path)](lines, columns)
        for line, values in parse(lines):
            yield f"{path} line {line}{since}", values


def _csv(lines: Lines, columns: Columns, **dialect) -> Parse:
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
    for option, column in columns.items():
        if column not in header:
            semicolons = ";" in header[0] and not dialect
            advice = (
                "Its fields must be separated by commas."
                if semicolons
                else f"Name it with {option}=COLUMN."
            )
            raise UserError(
                f"{lines.path} line 1 has no column {column!r}. There are: {', '.join(header)}."
                f" {advice}"
            )
    fields = [header.index(column) for column in columns.values()]
    advice = "" if dialect else " A text with commas or line ends in it must stand in quotes."

    def parse(lines: Lines) -> Iterator[tuple[int, list[str]]]:
        for line, row in rows(lines):
            if len(row) != len(header):
                raise UserError(
                    f"{lines.path} line {line} has {len(row)} field{'s' * (len(row) != 1)}; the "
                    f"header has {len(header)}.{advice}"
                )
            yield line, [row[field] for field in fields]

    return parse


def _tsv(lines: Lines, columns: Columns) -> Parse:
    return _csv(lines, columns, delimiter="\t", quoting=csv.QUOTE_NONE)


def _jsonl(_: Lines, columns: Columns) -> Parse:
    def parse(lines: Lines) -> Iterator[tuple[int, list[Any]]]:
        for raw in filter(str.strip, lines):
            where = f"{lines.path} line {lines.line}"
            try:
                item = json.loads(raw)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{where} is not JSON: {error}.") from error
            if not isinstance(item, dict):
                raise UserError(
                    f"{where} is not a JSON object, {{...}}: a .jsonl file has one a line."
                )
            for option, column in columns.items():
                if column in item and item[column] is None:
                    raise UserError(
                        f"{where}: {column!r} is null. Fill it in, or leave the line out."
                    )
                if column not in item:
                    raise UserError(
                        f"{where} has no {column!r}. There are: {', '.join(sorted(item))}. "
                        f"Name it with {option}=KEY."
                    )
            yield lines.line, [item[column] for column in columns.values()]

    return parse


def _tabbed(*_) -> Parse:
    def parse(lines: Lines) -> Iterator[tuple[int, list[str]]]:
        for raw in filter(str.strip, lines):
            label, tab, text = raw.rstrip("\r\n").partition("\t")
            if not tab:
                raise UserError(
                    f"{lines.path} line {lines.line} has no tab between label and text."
                )
            yield lines.line, [text, label]

    return parse


PARSERS: dict[str, Callable[..., Parse]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".txt": _tabbed,
}
