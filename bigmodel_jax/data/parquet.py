"""Rows of a Parquet file, some at a time."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bigmodel_jax.data.compressed import check_signature
from bigmodel_jax.errors import UserError

ROWS = 256  # decoded at once; what is read from the disk at once is a column of a row group


def rows(path: Path, columns: Mapping[str, str]) -> Iterator[list[Any]]:
    """Yields the values of some columns of each row, as Python has them.

    Args:
        columns: names by the option that sets them, as it is typed: {"--text_column": "text"}.

    Raises:
        UserError: no Parquet file, a torn one, without such a column, or with a row without it.
    """
    import pyarrow
    import pyarrow.parquet

    with path.open("rb") as file:
        check_signature(path, file.read(4))
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            known = file.schema_arrow.names
            for option, name in columns.items():
                if name not in known:
                    raise UserError(
                        f"{path} has no column {name!r}. There are: {', '.join(known)}. "
                        f"Name it with {option}=COLUMN."
                    )
            names, number = list(columns.values()), 0
            for batch in file.iter_batches(ROWS, columns=list(dict.fromkeys(names))):
                values = [batch.column(name).to_pylist() for name in names]
                for row in map(list, zip(*values, strict=True)):
                    number += 1
                    yield [
                        _value(value, option, name, f"{path} row {number}")
                        for value, (option, name) in zip(row, columns.items(), strict=True)
                    ]
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} is torn or damaged ({error}): copy it again.") from error


def lines(path: Path, columns: Mapping[str, str]) -> Iterator[bytes]:
    """Yields those columns as lines of JSONL."""
    for row in rows(path, columns):
        item = dict(zip(columns.values(), row, strict=True))
        yield json.dumps(item, ensure_ascii=False, default=str).encode() + b"\n"


def _value(value: Any, option: str, name: str, place: str) -> Any:
    """A cell; bytes in it are text. Of a text's column it must be text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise UserError(f"{place} has nothing in column {name!r}.")
    try:
        value = _text(value)
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: the bytes in column {name!r} are not UTF-8: {error}.") from error
    if not option.endswith("label_column") and not isinstance(value, str):
        raise UserError(f"{place}: the text is a string, not {value!r:.40}.")
    return value


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(part) for part in value]
    return value.decode("utf-8") if isinstance(value, bytes) else value
