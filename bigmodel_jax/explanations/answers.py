"""What a run answers to texts, and how that is printed: a table, JSON lines, or explained in colour."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.applied.printing import Show
from bigmodel_jax.explanations.pictures import PictureExplanation
from bigmodel_jax.explanations.pieces import STRONG, Explanation, pieces, signed, tops

SHOWN_CLASSES = 5  # a table has a column for each class up to so many, if half its width will do
LABEL_CELLS = 24  # of a terminal; of a longer label the rest is cut
THRESHOLD = 0.5  # of several labels, those hold that are as probable, as in evals/

OCCLUSION = "What the answer loses without each of them:"
CLOSE = "1% of the difference or 0.1% of the sum of the sizes"  # see Attribution.complete

# The colours of strength, for and against; each names its foreground too, so that it can be read on
# a light and on a dark terminal. Bold and underline remain where there is no colour.
FOR = ("", "#000000 on #c6dbef", "#000000 on #6baed6", "bold #ffffff on #08519c")
AGAINST = ("", "#000000 on #fdd9b5", "#000000 on #fd8d3c", "bold underline #ffffff on #a63603")


class Neighbour(NamedTuple):
    """A training example that looks to the model like what it was asked about.

    Attributes:
        similarity: the cosine, -1 to 1; see explanations/neighbours.py.
        label: its name; of a number, the number.
        example: the text; of an image the pixels, uint8 [height, width, channels].
    """

    similarity: float
    label: str
    example: str | np.ndarray


class Answer(NamedTuple):
    """What the run says of one text, or image.

    Attributes:
        text: or a pair of texts, or the path of the image.
        values: probabilities float32 [classes]; of a regression the number, [].
        empty: there is no word in it.
        explanation, neighbours: if asked for.
    """

    text: str | tuple[str, str]
    values: np.ndarray
    empty: bool
    explanation: Explanation | PictureExplanation | None = None
    neighbours: Sequence[Neighbour] = ()


class Meaning(NamedTuple):
    """What the values stand for: "class", "labels" (any number of them) or "number"."""

    target: str
    label_names: Sequence[str]

    def chosen(self, values: np.ndarray) -> list[int]:
        """The labels that the values say; none of a number, of "labels" perhaps none."""
        if self.target == "number":
            return []
        if self.target == "labels":
            return [int(i) for i in np.argsort(-values) if values[i] >= THRESHOLD]
        return [int(values.argmax())]


def one_line(text: str | tuple[str, str]) -> str:
    """A text or a pair on one line."""
    both = (text,) if isinstance(text, str) else text
    return " | ".join(" ".join(part.split()) for part in both)


def as_json(answer: Answer, meaning: Meaning) -> dict[str, Any]:
    """{"text", "label" | "labels" | "value", "probabilities": {name: p}}, and where there are:

    "pair", the second text; "empty": true where there is no word; "explained", a label's name,
    "explanation", [[token, attribution], ...], but not of the pixels of an image, "completeness", how
    exact that is, "not_read", a number of tokens, "occlusion", as "explanation", "neighbours",
    [{"similarity", "label", "text"}, ...], but no text of an image.
    """
    names = meaning.label_names
    both = (answer.text,) if isinstance(answer.text, str) else answer.text
    line: dict[str, Any] = dict(zip(("text", "pair"), both, strict=False))
    chosen = [names[i] for i in meaning.chosen(answer.values)]
    if meaning.target == "number":
        line["value"] = float(answer.values)
    else:
        line |= {"labels": chosen} if meaning.target == "labels" else {"label": chosen[0]}
        line["probabilities"] = dict(zip(names, map(float, answer.values), strict=True))
    if answer.empty:
        line["empty"] = True
    if (found := answer.explanation) is not None:
        parts = found.attribution
        line["explained"] = found.name
        if isinstance(found, Explanation):
            pairs = zip(found.tokens, parts.values, strict=True)
            line["explanation"] = [[token, float(value)] for token, value in pairs]
        line["completeness"] = {
            "sum": float(parts.values.sum()),
            "difference": parts.difference,
            "complete": parts.complete,
            "points": parts.points,
        }
        if isinstance(found, Explanation) and found.not_read:
            line["not_read"] = sum(found.not_read.values())
        if isinstance(found, Explanation) and found.occlusion is not None:
            pairs = zip(found.tokens, found.occlusion, strict=True)
            line["occlusion"] = [[token, float(value)] for token, value in pairs]
    if answer.neighbours:
        line["neighbours"] = [
            {"similarity": near.similarity, "label": near.label}
            | ({"text": near.example} if isinstance(near.example, str) else {})
            for near in answer.neighbours
        ]
    return line


def table(meaning: Meaning, of: str = "text") -> Show:
    """A table in pieces, one a batch, of columns that have the same width in all; the last is `of`."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def cells(name):
        return max(6, cell_len(name))

    console = Console()
    names = meaning.label_names
    every = meaning.target == "class" and len(names) <= SHOWN_CLASSES
    every = every and sum(cells(name) + 2 for name in names) <= console.width // 2
    numbers = {"class": names if every else ["probability"], "labels": [], "number": ["value"]}
    first = True

    def row(answer):
        values, chosen = answer.values, meaning.chosen(answer.values)
        if meaning.target == "number":
            return [f"{values:.4g}"]
        if meaning.target == "labels":
            return [Text(", ".join(f"{names[i]} {values[i]:.2f}" for i in chosen) or "-")]
        shown = values if every else values[chosen]
        return [Text(names[chosen[0]]), *(f"{p:.4f}" for p in shown)]

    def show(answers):
        nonlocal first
        grid = Table(box=None, expand=True, show_header=first)
        first = False
        if meaning.target == "class":
            width = min(max(5, *map(cell_len, names)), LABEL_CELLS)
            grid.add_column("label", width=width, no_wrap=True, overflow="ellipsis")
        elif meaning.target == "labels":
            grid.add_column("labels", ratio=1, overflow="fold")
        for name in numbers[meaning.target]:
            grid.add_column(Text(name), width=cells(name), justify="right", no_wrap=True)
        grid.add_column(of, ratio=2, no_wrap=True, overflow="ellipsis")
        for answer in answers:
            words = one_line(answer.text)
            if answer.empty:
                words = f"{words!r} (no words: the answer to nothing)"
            grid.add_row(*row(answer), Text(words))
        console.print(grid)

    return show


def explained(meaning: Meaning) -> Show:
    """Of each text: the answer, the tokens in colour, the strongest in numbers, how exact they are."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)

    def tokens(found):
        body = Text()
        for piece in pieces(found):
            level = sum(abs(piece.strength) >= bound for bound in STRONG)
            style = (FOR if piece.strength > 0 else AGAINST)[level]
            body.append(" " * piece.space)
            body.append(piece.text, "dim italic" if piece.value is None else style)
        return body

    def numbers(found):
        grid = Table.grid(padding=(0, 2))
        for justify in ("left", "right", "left", "right", "left"):
            grid.add_column(justify=justify, overflow="fold")
        sides = tops(found)
        if any(sides):
            titles = [Text(f"for {found.name}"), "", Text("against it")]
            grid.add_row("", "", *titles, style="bold")
        shown = iter(signed([value for side in sides for _, value in side]))
        cells = [[(next(shown), Text(token)) for token, _ in side] for side in sides]
        for one, other in itertools.zip_longest(*cells, fillvalue=("", "")):
            grid.add_row("", *one, *other)
        return grid

    def show(answers):
        for answer in answers:
            found = answer.explanation
            assert isinstance(found, Explanation)
            console.print(Text(headline(answer, meaning), style="bold"))
            if found.tokens:
                console.print(tokens(found), numbers(found))
            if found.tokens and found.occlusion is not None:
                console.print(Text(OCCLUSION, "dim"), tokens(found.occluded), sep="\n")
                console.print(numbers(found.occluded))
            console.print(Text(completeness(found), style="dim"))
            for near in answer.neighbours:
                words = Text(f"{near.similarity:.3f} {near.label}: {one_line(str(near.example))}")
                words.truncate(console.width, overflow="ellipsis")
                console.print(words)
            console.print()

    return show


def headline(answer: Answer, meaning: Meaning) -> str:
    """The answer in a line: "pos 0.9871 (neg 0.0129)"."""
    names, values = meaning.label_names, answer.values
    if meaning.target == "number":
        line = f"{names[0]} {values:.4g}"
    else:
        chosen = meaning.chosen(values)
        said = ", ".join(f"{names[i]} {values[i]:.4f}" for i in chosen) or "no label"
        others = [i for i in np.argsort(-values) if i not in chosen][: SHOWN_CLASSES - 1]
        rest = ", ".join(f"{names[i]} {values[i]:.4f}" for i in others)
        line = f"{said} ({rest})" if rest else said
    if answer.empty:
        line += " - no words: the answer to nothing"
    return line


def completeness(found: Explanation | PictureExplanation) -> str:
    """A sentence: what the attributions add up to, of what, and how exactly."""
    parts = found.attribution
    of = ("without words", "with them", "tokens")
    if isinstance(found, PictureExplanation):
        of = ("of the mean colour everywhere", "of the picture", "pixels")
    return (
        f"{found.what}: {parts.at_baseline:+.3g} {of[0]}, {parts.at_input:+.3g} {of[1]}. The "
        f"difference is {parts.difference:+.3g}, the sum of all {of[2]} {parts.values.sum():+.3g} "
        f"({parts.points} points{'' if parts.complete else f', NOT enough to be within {CLOSE}'})."
    )
