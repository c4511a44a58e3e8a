"""Running text becomes words, cut as files of tagged words (data/tagged.py) usually are."""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from bigmodel_jax.data.cleaning import UNSPACED

_OPENING = frozenset('([{"\u201c\u201e\u00ab\u2018\u00bf\u00a1「『（【《')
_CLOSING = frozenset(')]}"\u201d\u201c\u00bb\u2019,;:!?…、。，！？；：）」』】》')
_FULL_STOP = re.compile(r"[^.]+\.")
_SHORT = re.compile(r"[^\W\d_]\.|[A-Z][a-z]{1,3}\.")  # "J.", "Mr.", "Corp."
_POSSESSIVE = re.compile(r".+['\u2019][sS]")
_MIXED = re.compile(rf"({UNSPACED.pattern})|(?:(?!{UNSPACED.pattern})\S)+")


class Word(NamedTuple):
    """A word of a text, and the place of its first character there."""

    text: str
    start: int


def words(text: str) -> list[Word]:
    """The words of a text.

    A word ends at white space; brackets, quotes and punctuation around it are words of their own,
    and so are "'s" and the full stop behind it: but "U.N." keeps its stops, and inside a text "Mr."
    does. A text in a script without spaces, such as Chinese, is cut into characters, unless it has
    spaces: whoever has words already puts these between them.
    """
    spaced = not UNSPACED.search(text) or len(text.split()) > 1
    found: list[Word] = []
    for match in (re.compile(r"\S+") if spaced else _MIXED).finditer(text):
        start, end = match.span()
        if not spaced and match[1]:
            found.append(Word(match[0], start))
        else:
            found += _parts(text, start, end)
    return found


def _parts(text: str, start: int, end: int) -> Iterator[Word]:
    """The words of text[start:end], which has no white space."""
    if not any(map(str.isalnum, text[start:end])):  # "...", "--", ":-)"
        yield Word(text[start:end], start)
        return
    while text[start] in _OPENING:
        yield Word(text[start], start)
        start += 1
    last, cuts = not text[end:].strip(), [end]
    while text[start : cuts[-1]]:
        word = text[start : cuts[-1]]
        stops = _FULL_STOP.fullmatch(word) and (last or not _SHORT.fullmatch(word))
        if not stops and word[-1] not in _CLOSING:
            cuts += [cuts[-1] - 2] if _POSSESSIVE.fullmatch(word) else []
            break
        cuts.append(cuts[-1] - 1)
    for begin, stop in itertools.pairwise([start, *reversed(cuts)]):
        yield Word(text[begin:stop], begin)
