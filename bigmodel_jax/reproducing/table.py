"""The README's table of results, made from the files beside the configs."""

from collections.abc import Iterable
from pathlib import Path

from bigmodel_jax.errors import UserError
from bigmodel_jax.reproducing.expected import Expected

BEGIN = "<!-- results: python -m bigmodel_jax.reproduce --readme=README.md -->"
END = "<!-- end of results -->"


def table(results: Iterable[Expected]) -> str:
    """A row for each result."""
    lines = [
        "| config | data | metric | mean and spread | minutes a seed | on | date |",
        "|---|---|---|---|---|---|---|",
    ]
    for x in results:
        seeds = f" ({len(x.values)} seeds)" if len(x.values) > 1 else ""
        cells = (
            f"`{x.name}`",
            x.content["data"]["name"],
            x.content["metric"] + (", %" if x.shown(0).endswith("%") else ""),
            f"{x.spread()}{seeds}",
            " to ".join(map(str, sorted({min(x.content["minutes"]), max(x.content["minutes"])}))),
            x.content["device"],
            x.content["date"],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def filled(page: str, results: Iterable[Expected]) -> str:
    """The text of a page with a new table between its two marks.

    Raises:
        UserError: it has no such marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"There is no place for the table: the page has no lines {BEGIN}, {END}.")
    return f"{before}{BEGIN}\n{table(results)}\n{END}{after}"


def fill(page: Path, results: Iterable[Expected]) -> None:
    """Writes the table into a page."""
    page.write_text(filled(page.read_text(encoding="utf-8"), results), encoding="utf-8")
