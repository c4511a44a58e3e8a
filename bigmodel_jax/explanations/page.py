"""Explanations as an HTML page: one file without scripts, that needs nothing from elsewhere."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TextIO

import numpy as np

from bigmodel_jax.explanations.answers import (
    OCCLUSION,
    Answer,
    Meaning,
    completeness,
    headline,
)
from bigmodel_jax.explanations.pieces import STRONG, Explanation, pieces, signed, tops

SHOWN_BARS = 10
LETTERS = 300  # of a neighbour

# Blue and orange are told apart by nearly everyone. A colour's opacity is the strength: the text
# keeps the page's own colour, and its contrast, on a light and on a dark page.
STYLE = """
:root { color-scheme: light dark; --page: #fff; --text: #1b1b1b; --weak: #666; --line: #ddd;
  --for: 51 136 221; --against: 240 140 30; }
@media (prefers-color-scheme: dark) {
  :root { --page: #161616; --text: #ececec; --weak: #a0a0a0; --line: #3a3a3a;
    --for: 38 110 200; --against: 190 95 10; }
}
body { background: var(--page); color: var(--text); font: 16px/1.7 system-ui, sans-serif;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 0 0 .4rem; }
h1, h2, td { overflow-wrap: anywhere; }
section { border-top: 1px solid var(--line); padding: 1.2rem 0; }
.text { overflow-wrap: anywhere; margin: .4rem 0 1rem; }
.text span { border-radius: .2em; padding: .08em 0; }
.for { background: rgb(var(--for) / var(--s)); }
.against { background: rgb(var(--against) / var(--s)); }
.strong.for { font-weight: 600; } .strong.against { text-decoration: underline; }
.weak, .gap { color: var(--weak); font-size: .88rem; } .gap { font-style: italic; }
.sides { display: flex; flex-wrap: wrap; gap: 1rem 3rem; }
table { border-collapse: collapse; font-size: .9rem; line-height: 1.5; align-self: start; }
caption { text-align: left; font-weight: 600; }
td { padding: 0 .9rem 0 0; vertical-align: middle; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.track { min-width: 9rem; }
.bar { height: .75rem; border-radius: .2rem; min-width: 1px; --s: 1; }
.bar.plain { background: var(--weak); }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; margin: .4rem 0 1rem; }
figure { margin: 0; } figcaption { color: var(--weak); font-size: .88rem; }
img { display: block; width: 13.5rem; } .small img { width: 6.5rem; } .coarse { image-rendering: pixelated; }
"""


class ExplanationPage:
    """Writes a page as answers come; what is in memory is one of them.

    with ExplanationPage(path, meaning, "runs/imdb") as page:
        page.add(answers)
    """

    policy = ""  # what the page may load besides its own styles
    legend = """<p class="weak">Integrated gradients (Sundararajan et al. 2017). A token's colour is as strong as its number, next to the
largest of its text; the pointer on a token shows the number. The numbers of all tokens add up to the difference that
they make together: within 1% of it or, where large numbers cancel, within 0.1% of the sum of their sizes, unless the
text's last line says otherwise. What the answer loses without each token (occlusion: Li et al. 2016) adds up to nothing.
</p>
"""

    def __init__(self, path: Path, meaning: Meaning, run: str):
        self._meaning, self._count = meaning, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._file.write(_head(f"What {run} says, and why", self.policy, self.legend))

    def __enter__(self) -> "ExplanationPage":
        return self

    def __exit__(self, *_) -> None:
        self._file.write("</main>\n</body>\n</html>\n")
        self._file.close()

    def add(self, answers: Sequence[Answer]) -> None:
        """A section for each."""
        for answer in answers:
            self._count += 1
            self._file.write(self.section(answer, self._count))

    def section(self, answer: Answer, number: int) -> str:
        """Of an answer, HTML."""
        return section(answer, self._meaning, number)


def section(answer: Answer, meaning: Meaning, number: int) -> str:
    """The answer, the text in colour, tables of tokens and probabilities, how exact they are."""
    found = answer.explanation
    assert isinstance(found, Explanation)
    body = "".join(" " * piece.space + _span(piece) for piece in pieces(found))
    return (
        f"<section>\n<h2>{number}. {escape(headline(answer, meaning))}</h2>\n"
        f'<p class="weak">What speaks for and against <b>{escape(found.name)}</b>:</p>\n'
        f'<p class="text" dir="auto">{body or "-"}</p>\n{_occluded(found)}'
        f'<div class="sides">\n{_tops(found)}{bars(answer, meaning)}</div>\n'
        f'<p class="weak">{escape(completeness(found))}</p>\n{_near(answer)}</section>\n'
    )


def _occluded(found):
    """The text again, in the colours of its occlusion."""
    if found.occlusion is None:
        return ""
    body = "".join(" " * piece.space + _span(piece) for piece in pieces(found.occluded))
    return f'<p class="weak">{OCCLUSION}</p>\n<p class="text" dir="auto">{body or "-"}</p>\n'


def _near(answer):
    """A table of the training examples that are most like it."""
    rows = [
        f'<tr><td class="number">{near.similarity:.3f}</td><td>{escape(near.label)}</td>'
        f"<td>{escape(_short(near.example))}</td></tr>\n"
        for near in answer.neighbours
    ]
    return _table("The nearest training examples: cosine, label, text", rows)


def _short(text):
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def _span(piece):
    if piece.value is None:
        return f'<span class="gap">{escape(piece.text)}</span>'
    kind, style, size = "", "", abs(piece.strength)
    if size >= STRONG[0]:
        side = "for" if piece.strength > 0 else "against"
        kind = f' class="{side}{" strong" * (size >= STRONG[-1])}"'
        style = f' style="--s:{0.1 + 0.65 * size:.2f}"'
    return f'<span{kind}{style} title="{piece.value:+.3g}">{escape(piece.text)}</span>'


def _tops(found):
    """A table of the strongest tokens, from the most for the label to the most against it."""
    for_it, against = tops(found, 8)
    ranked = [*for_it, *reversed(against)]
    largest = max((abs(value) for _, value in ranked), default=1.0)
    rows = [
        _row(token, number, abs(value) / largest, "for" if value > 0 else "against")
        for (token, value), number in zip(ranked, signed([v for _, v in ranked]), strict=True)
    ]
    return _table(f"Tokens and the {found.what}", rows)


def bars(answer: Answer, meaning: Meaning) -> str:
    """A table of the most probable classes; nothing of a number."""
    if meaning.target == "number":
        return ""
    best = np.argsort(-answer.values, kind="stable")[:SHOWN_BARS]
    rows = [
        _row(meaning.label_names[i], f"{100 * answer.values[i]:.1f}%", answer.values[i], "plain")
        for i in best
    ]
    return _table("Probabilities", rows)


def _table(caption, rows):
    body = "".join(rows)
    return f"<table>\n<caption>{escape(caption)}</caption>\n{body}</table>\n" if rows else ""


def _row(name, number, share, kind):
    bar = f'<div class="bar {kind}" style="width:{100 * share:.1f}%"></div>'
    return (
        f'<tr><td>{escape(name)}</td><td class="number">{number}</td>'
        f'<td class="track">{bar}</td></tr>\n'
    )


def _head(title, policy, legend):
    """Up to the first section. The policy lets no script run, whatever a text may hold."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; {policy}style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p class="text">
<span class="for strong" style="--s:.75">speaks for the label</span>
<span class="for" style="--s:.3">a little</span>
<span>says nothing</span>
<span class="against" style="--s:.3">a little</span>
<span class="against strong" style="--s:.75">speaks against it</span></p>
{legend}"""
