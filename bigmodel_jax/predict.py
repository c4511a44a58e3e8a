"""Applies a trained classifier to texts.

    python -m bigmodel_jax.predict --workdir=runs/imdb --text="A fine film." --text="Dreadful."
    python -m bigmodel_jax.predict --workdir=runs/imdb --file=reviews.csv --text_column=review
    cat reviews.txt | python -m bigmodel_jax.predict --workdir=runs/imdb --format=jsonl > labels.jsonl

Without --text and --file it reads standard input, a text a line. One row of output for each text, in
order, as soon as its batch is done; all else that is said goes to standard error.
"""

import io
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from bigmodel_jax.data import records
from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import run_main

TABLES = (".csv", ".tsv", ".jsonl")
SHOWN_CLASSES = 5  # a table has a column for each class up to so many


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "The directory of the run to apply.")
    flags.DEFINE_multi_string("text", [], "A text; may be given several times.")
    flags.DEFINE_string("file", None, "A file: a text a line, or .csv, .tsv, .jsonl.")
    flags.DEFINE_string("text_column", "text", "Of a .csv, .tsv or .jsonl file.")
    flags.DEFINE_enum("format", "table", ["table", "jsonl"], "Of the output.")
    flags.DEFINE_integer("batch_size", 64, "Texts computed at once.", lower_bound=1)


def main() -> None:
    """Reads texts from where the command line says, prints a row for each."""
    options = flags.FLAGS
    if not options.workdir:
        raise UserError("--workdir=DIR says which run to apply, and is missing.")
    if options.text and options.file:
        raise UserError("--text and --file both say what to classify: give one of them.")
    batch_size = options.batch_size
    if options.text:
        texts = iter(options.text)
    elif options.file:
        texts = read(Path(options.file).expanduser(), options.text_column)
    else:
        texts = (line.rstrip("\r\n") for line in _stdin())
        if sys.stdin.isatty():
            batch_size = 1  # whoever types wants an answer to each line
            print("Type a text and press Enter; Ctrl-D ends.", file=sys.stderr)
    if not predict(options.workdir, texts, batch_size, options.format):
        raise UserError(f"There are no texts in {options.file or 'standard input'}.")


def predict(workdir: str, texts: Iterable[str], batch_size: int, form: str) -> int:
    """Prints labels and probabilities of `texts`, batch by batch; how many there were."""
    from bigmodel_jax.apply import load_run

    count = 0
    with load_run(workdir) as run:
        reader = run.config["data"]["reader"]["name"]
        if reader == "synthetic_reviews":
            print(f"NOTE: this run was trained on {reader}, not on real texts.", file=sys.stderr)
        show = (_table if form == "table" else _jsonl)(run.label_names)
        for batch in batches(texts, batch_size):
            rows = batch_size if count else 0  # a lone batch need not be padded
            probabilities = run.predict(batch, rows)
            show(batch, probabilities, [run.is_empty(content) for content in batch])
            count += len(batch)
    return count


def read(path: Path, text_column: str = "text") -> Iterator[str]:
    """The texts of a file, one after another; labels, if there are any, are not looked at.

    Raises:
        UserError: it is not there, not UTF-8, or has no such column; names the file and the line.
    """
    if not path.is_file():
        raise UserError(f"--file: there is no file {path}.")
    with path.open("rb") as file:
        lines = records.Lines(path, file)
        if path.suffix.lower() in TABLES:
            parse = records.PARSERS[path.suffix.lower()](lines, text_column, text_column)
            yield from (content for _, content, _ in parse(lines))
        else:
            yield from (line.rstrip("\r\n") for line in lines)


def batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of `size` texts, the last of what is left."""
    texts = iter(texts)
    while batch := list(itertools.islice(texts, size)):
        yield batch


def _stdin() -> Iterable[str]:
    return io.TextIOWrapper(sys.stdin.buffer, "utf-8", errors="replace")


Show = Callable[[Sequence[str], np.ndarray, Sequence[bool]], None]


def _jsonl(label_names: Sequence[str]) -> Show:
    """{"text", "label", "probabilities": {name: p}} a line; "empty": true where there is no word."""

    def show(texts, probabilities, empty):
        for content, row, nothing in zip(texts, probabilities, empty, strict=True):
            line: dict[str, Any] = {"text": content, "label": label_names[int(row.argmax())]}
            line["probabilities"] = dict(zip(label_names, map(float, row), strict=True))
            if nothing:
                line["empty"] = True
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    return show


def _table(label_names: Sequence[str]) -> Show:
    """A table in pieces, one a batch, of columns that have the same width in all."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    every = len(label_names) <= SHOWN_CLASSES
    names = label_names if every else ("probability",)
    first = True

    def show(texts, probabilities, empty):
        nonlocal first
        table = Table(box=None, expand=True, show_header=first)
        first = False
        table.add_column("label", width=max(5, *map(len, label_names)), no_wrap=True)
        for name in names:
            table.add_column(name, width=max(6, len(name)), justify="right", no_wrap=True)
        table.add_column("text", ratio=1, no_wrap=True, overflow="ellipsis")
        for content, row, nothing in zip(texts, probabilities, empty, strict=True):
            best = int(row.argmax())
            shown = [f"{p:.4f}" for p in (row if every else [row[best]])]
            words = f"{content!r} (no words: the answer to nothing)" if nothing else content
            table.add_row(Text(label_names[best]), *shown, Text(" ".join(words.split())))
        console.print(table)

    return show


if __name__ == "__main__":
    define_flags()
    run_main(main)
