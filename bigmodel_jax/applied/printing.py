"""Answers as they are printed: JSON lines, or a table with a row for each text."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Show = Callable[[Sequence[Any]], None]


def json_lines(as_json: Callable[[Any], Mapping[str, Any]]) -> Show:
    """An object a line, of each answer what `as_json` makes of it."""

    def show(answers):
        for answer in answers:
            sys.stdout.write(json.dumps(as_json(answer), ensure_ascii=False) + "\n")
        sys.stdout.flush()

    return show


def table(columns: Mapping[str, int], row: Callable[[Any], Sequence[str]]) -> Show:
    """A table in pieces, one a batch, of columns that have the same width in all; the text is last.

    Args:
        columns: how many cells each takes before that of the text; 0 is of words, as wide as the
            text, in as many lines as it takes.
        row: what stands in these columns, and the text, of an answer.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    first = True

    def show(answers):
        nonlocal first
        grid = Table(box=None, expand=True, show_header=first)
        first = False
        for name, width in columns.items():
            if width:
                grid.add_column(name, width=width, justify="right", no_wrap=True)
            else:
                grid.add_column(name, ratio=1, overflow="fold")
        grid.add_column("text", ratio=1, no_wrap=True, overflow="ellipsis")
        for answer in answers:
            *cells, text = row(answer)
            grid.add_row(*map(Text, cells), Text(" ".join(text.split())))
        console.print(grid)

    return show
