"""An explanation as pieces to show: tokens joined to a readable text, how strong, which on top."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from bigmodel_jax.explanations.gradients import Attribution

# Bounds between no colour and three colours, as shares of the strongest token.
STRONG = (0.1, 0.3, 0.6)
_CLOSING = frozenset(".,:;!?)]}%…、。，！？；：）」』】")
_OPENING = frozenset("([{「『（【")


class Explanation(NamedTuple):
    """Why a label, token by token.

    Attributes:
        name: of the label, or of the number.
        what: is explained: "log-odds of pos".
        tokens: that the model saw, as its tokenizer names them.
        attribution: what each adds to that.
        not_read: of a text that was too long: how many tokens were left out before which.
        occlusion: what that loses without each, see occlusion.py, float64 [tokens]; if asked for.
    """

    name: str
    what: str
    tokens: Sequence[str]
    attribution: Attribution
    not_read: Mapping[int, int] = MappingProxyType({})
    occlusion: np.ndarray | None = None

    @property
    def occluded(self) -> "Explanation":
        """The same with the occlusion in place of the attributions, to be shown alike."""
        return self._replace(attribution=self.attribution._replace(values=self.occlusion))


def readable(tokens: Sequence[str]) -> list[tuple[bool, str]]:
    """(whether a space comes before it, the piece) of each token, by its tokenizer's own marks.

    WordPiece marks what goes on ("##ing"), SentencePiece ("▁the") and byte-level BPE ("Ġthe") what
    begins a word. Words have no marks: punctuation and unspaced scripts join what is before them.
    """
    for mark in ("▁", "Ġ"):
        if any(token.startswith(mark) for token in tokens):
            begins = [t.startswith(mark) or t in ("<separator>", "[SEP]") for t in tokens]
            return [(b, t.removeprefix(mark)) for b, t in zip(begins, tokens, strict=True)]
    found, before = [], " "
    for token in tokens:
        goes_on = token.startswith("##") and len(token) > 2
        joined = goes_on or token in _CLOSING or before in _OPENING
        joined |= _unspaced(token) and _unspaced(before)
        before = token[2:] if goes_on else token
        found.append((not joined, before))
    if found:
        found[0] = (False, found[0][1])
    return found


class Piece(NamedTuple):
    """A token as it is shown, or, without a value, the place of those that were not read.

    Attributes:
        space: before it.
        value: what it adds.
        strength: the same as a share of the largest in its text, in [-1, 1].
    """

    space: bool
    text: str
    value: float | None = None
    strength: float = 0.0


def pieces(found: Explanation) -> Iterator[Piece]:
    """An explanation in the order of the text."""
    values = [float(value) for value in found.attribution.values]
    largest = max(map(abs, values), default=0.0) or 1.0
    for i, (space, text) in enumerate([*readable(found.tokens), (False, "")]):
        if count := found.not_read.get(i):
            yield Piece(i > 0, f"[... {count:,} token{'s' * (count > 1)} not read ...]")
            space = True
        if i < len(values):
            yield Piece(space, text, values[i], values[i] / largest)


def signed(values: Sequence[float]) -> list[str]:
    """Numbers to stand under each other: the largest with three digits, all with its decimals."""
    largest = max(map(abs, values), default=0.0) or 1.0
    decimals = min(max(2 - math.floor(math.log10(largest)), 0), 9)
    return [f"{value:+.{decimals}f}" for value in values]


def tops(found: Explanation, count: int = 6) -> tuple[list[tuple[str, float]], ...]:
    """(for, against): the strongest tokens and what they add in all places together."""
    sums: dict[str, float] = defaultdict(float)
    times: dict[str, int] = defaultdict(int)
    for piece in pieces(found):
        if piece.value is not None:
            sums[piece.text] += piece.value
            times[piece.text] += 1
    named = {p: f"{p} (x{times[p]})" if times[p] > 1 else p for p in sums}
    ranked = sorted(sums, key=lambda p: -abs(sums[p]))
    least = 0.01 * max(map(abs, sums.values()), default=0.0)
    return tuple(
        [(named[p], sums[p]) for p in ranked if sign * sums[p] > least][:count] for sign in (1, -1)
    )


def _unspaced(piece: str) -> bool:
    """Whether it is of a script written without spaces: East Asian, from U+2E80 on, but Hangul."""
    return bool(piece) and piece[0] >= "\u2e80" and not "\uac00" <= piece[0] <= "\ud7a3"
