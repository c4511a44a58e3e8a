"""A report's parts, and how each is written in Markdown and in HTML.

Both are made from one list of parts, so that they cannot say different things. Every text is
escaped: what a review contains is shown, never run. The page is one file, needs no network, and
fits a telephone and a dark screen.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from urllib import parse


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Note:
    """What must not be overlooked."""

    text: str


@dataclass(frozen=True)
class Code:
    """Lines to be copied; folded away under `summary` if there is one."""

    text: str
    summary: str = ""


@dataclass(frozen=True)
class Link:
    """A cell of a table that leads to another report.

    Attributes:
        report: its path relative to this one, without the suffix: each form leads to its own.
    """

    text: str
    report: str


@dataclass(frozen=True)
class Table:
    """Rows of cells; all columns but the first are numbers if `numbers`."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | Link]]
    numbers: bool = False
    summary: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture: its file beside report.md, and itself as SVG."""

    file: str
    alt: str
    svg: str


@dataclass(frozen=True)
class Quote:
    """What somebody wrote, under a line of what is to be said of it."""

    title: str
    text: str


Part = Heading | Paragraph | Note | Code | Table | Figure | Quote


def to_markdown(title: str, parts: Sequence[Part]) -> str:
    """report.md."""
    return "\n\n".join([f"# {_md(title)}", *map(_markdown, parts)]) + "\n"


def to_html(title: str, parts: Sequence[Part]) -> str:
    """report.html."""
    body, figures = [], []
    for part in [*parts, None]:
        if isinstance(part, Figure):
            figures.append(f"<figure>{part.svg}</figure>")
            continue
        if figures:  # neighbours share a row where there is room
            body.append('<div class="figures">' + "\n".join(figures) + "</div>")
            figures = []
        if part is not None:
            body.append(_html(part))
    return PAGE.format(title=_esc(title), style=STYLE, body="\n".join(body))


def to_console(parts: Sequence[Part]) -> str:
    """Lines for a terminal; figures are left out."""
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(markup=False, highlight=False, soft_wrap=True)
    with console.capture() as capture:
        for part in parts:
            if isinstance(part, Table):
                grid = Grid(title=part.summary or None, title_justify="left", title_style="")
                for i, name in enumerate(part.header):
                    grid.add_column(
                        _clean(name),
                        justify="right" if part.numbers and i else "left",
                        overflow="fold",
                    )
                for row in part.rows:
                    grid.add_row(*(_clean(c.text if isinstance(c, Link) else c) for c in row))
                console.print(grid)
            elif isinstance(part, Heading):
                console.print(f"\n{_clean(part.text)}", style="bold")
            elif not isinstance(part, Figure):
                console.print(_clean(part.text))
    return capture.get()


def _markdown(part: Part) -> str:
    match part:
        case Heading(text):
            return f"## {_md(text)}"
        case Paragraph(text):
            return _md(text)
        case Note(text):
            return f"> **{_md(text)}**"
        case Code(text, summary):
            fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
            return _folded(summary, f"{fence}\n{_clean(text).rstrip()}\n{fence}")
        case Table(header, rows, numbers, summary):
            rule = ["---:" if numbers and i else "---" for i in range(len(header))]
            cells = [map(_md, header), rule, *(map(_md_cell, row) for row in rows)]
            return _folded(summary, "\n".join(f"| {' | '.join(row)} |" for row in cells))
        case Figure(file, alt):
            return f"![{_md(alt)}]({file})"
        case Quote(title, text):
            return f"**{_md(title)}**" + (f"\n\n> “{_md(text)}”" if text else "")


def _md_cell(cell: str | Link) -> str:
    if isinstance(cell, Link):
        return f"[{_md(cell.text)}]({parse.quote(cell.report)}.md)"
    return _md(cell)


def _html_cell(cell: str | Link) -> str:
    if isinstance(cell, Link):
        return f'<a href="{parse.quote(cell.report)}.html">{_esc(cell.text)}</a>'
    return _esc(cell)


def _folded(summary, text):
    opening = f"<details><summary>{_esc(summary)}</summary>"
    return f"{opening}\n\n{text}\n\n</details>" if summary else text


def _html(part: Part) -> str:
    match part:
        case Heading(text):
            return f"<h2>{_esc(text)}</h2>"
        case Paragraph(text):
            return f"<p>{_esc(text)}</p>"
        case Note(text):
            return f'<p class="note">{_esc(text)}</p>'
        case Code(text, summary):
            return _closed(summary, f"<pre>{_esc(text)}</pre>")
        case Table(header, rows, numbers, summary):
            head = "".join(f"<th>{_esc(cell)}</th>" for cell in header)
            lines = ["".join(f"<td>{_html_cell(cell)}</td>" for cell in row) for row in rows]
            body = "\n".join(f"<tr>{line}</tr>" for line in lines)
            kind = ' class="numbers"' if numbers else ""
            table = f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            return _closed(summary, f'<div class="scroll">{table}</div>')
        case Quote(title, text):
            quote = f'<blockquote dir="auto">{_esc(text)}</blockquote>' if text else ""
            return f"<article><h3>{_esc(title)}</h3>{quote}</article>"
    raise TypeError(part)


def _closed(summary, text):
    return f"<details><summary>{_esc(summary)}</summary>{text}</details>" if summary else text


def _esc(text):
    return html.escape(_clean(text))


def _md(text):
    """A text as Markdown shows it letter by letter, on one line."""
    line = html.escape(" ".join(_clean(text).split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]#|~$])", r"\\\1", line)


def _clean(text):
    """Without the control characters that a page may not hold."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c if c.isprintable() or _harmless(c) else "\ufffd" for c in text)


def _harmless(c):
    return c in "\n\t\u200c\u200d" or unicodedata.category(c) == "Zs"  # joiners; spaces


STYLE = """
:root { color-scheme: light dark; --text: #1b1d21; --ground: #fff; --soft: #f3f4f6; --line: #d5d8dd;
  --faint: #5d636d; --warn: #fff3cd; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6ea; --ground: #15171a; --soft: #202329;
  --line: #3a3f47; --faint: #a2a8b3; --warn: #4a3c0c; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--ground);
  max-width: 64rem; margin: 0 auto; padding: 1rem 1.25rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: .95rem; margin: 0 0 .3rem; }
p { max-width: 46rem; overflow-wrap: anywhere; }
.note { background: var(--warn); padding: .6rem .9rem; border-radius: .4rem; font-weight: 600; }
pre { background: var(--soft); padding: .7rem .9rem; border-radius: .4rem;
  font-size: .82rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
a { color: inherit; text-decoration-color: var(--faint); text-underline-offset: .2em; }
table { border-collapse: collapse; font-size: .9rem; margin: .4rem 0; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td { overflow-wrap: anywhere; }
td:first-child { overflow-wrap: break-word; }
.numbers :is(th, td):not(:first-child) { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.figures { display: grid; gap: 1rem 2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); }
figure { margin: 0; overflow-x: auto; }
svg { display: block; width: 100%; height: auto; }
svg.wide { min-width: 34rem; }
figure:has(.wide) { grid-column: 1 / -1; }
article { margin: 1rem 0; }
blockquote { margin: 0; padding: .5rem .9rem; background: var(--soft); border-radius: .4rem;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: .9rem; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--faint); }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
