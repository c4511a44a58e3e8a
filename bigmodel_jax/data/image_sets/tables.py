"""Images named, or held, by the rows of a table: .csv, .tsv, .jsonl, .parquet; a file or one a split.

A cell is the path of an image file, from the table's own folder; in .parquet also the bytes of one, or
{"bytes": ..., "path": ...}, as Hugging Face's data sets have them.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bigmodel_jax.data import records
from bigmodel_jax.data.compressed import extension
from bigmodel_jax.data.layout import layout
from bigmodel_jax.data.pixels import Unreadable
from bigmodel_jax.data.targets import Collector
from bigmodel_jax.errors import UserError

EXTENSIONS = (".csv", ".tsv", ".jsonl", ".parquet")


class Set:
    """See image_sets. What the cells hold is held in memory."""

    def __init__(self, path: Path, image_column: str = "image", label_column: str = "label"):
        self.name, parts = layout(str(path), Path)  # type: ignore[arg-type]
        self._items: dict[str, list[tuple[str, Path, Any]]] = {}
        self._files: list[Path] = []
        collector = Collector("class", ",")
        for split in sorted(parts, key=lambda split: split != "train"):
            collector.begin(split)
            self._items[split] = []
            for file in parts[split]:
                if not isinstance(file, Path):
                    raise UserError(f"{path} holds class folders beside tables: name one of them.")
                self._files.append(file)
                for place, (cell, label) in _rows(file, image_column, label_column):
                    self._items[split].append((place, file.parent, _cell(cell, place)))
                    collector.add(label, place)
        self.label_names, labels = collector.finish(str(path))
        self.labels = {split: found.values for split, found in labels.items()}

    def identity(self) -> Iterator[str]:
        for file in self._files:
            with file.open("rb") as opened:
                yield hashlib.file_digest(opened, "sha256").hexdigest()

    def read(self, split: str, i: int) -> bytes:
        _, folder, cell = self._items[split][i]
        if isinstance(cell, bytes):
            return cell
        try:
            return (folder / cell).read_bytes()
        except OSError as error:
            raise Unreadable(str(error)) from error

    def place(self, split: str, i: int) -> str:
        place, _, cell = self._items[split][i]
        return place if isinstance(cell, bytes) else f"{place} ({cell})"


def is_here(path: Path) -> bool:
    """Whether it is such a table, or a folder of some."""
    if path.is_dir():
        return any(p.is_file() and extension(p) in EXTENSIONS for p in path.iterdir())
    return extension(path) in EXTENSIONS


def _rows(file: Path, image_column: str, label_column: str) -> Iterator[tuple[str, list[Any]]]:
    columns = {
        "--config.data.image_column": image_column,
        "--config.data.label_column": label_column,
    }
    if extension(file) != ".parquet":
        yield from records.read(file, columns)
        return
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            for option, name in columns.items():
                if name not in (known := opened.schema_arrow.names):
                    raise UserError(
                        f"{file} has no column {name!r}. There are: {', '.join(known)}. "
                        f"Name it with {option}=COLUMN."
                    )
            number = 0
            for batch in opened.iter_batches(columns=[image_column, label_column]):
                cells = (batch.column(name).to_pylist() for name in (image_column, label_column))
                for pair in zip(*cells, strict=True):
                    number += 1
                    yield f"{file} row {number}", list(pair)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{file} is torn or damaged ({error}): copy it again.") from error


def _cell(cell: Any, place: str) -> bytes | str:
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if not isinstance(cell, (bytes, str)) or not cell:
        raise UserError(f"{place}: the image is {cell!r:.40}, but it is a path, or bytes.")
    return cell
