"""Ids of a text from the ids of its words, each of which is looked up once.

A tokenizer that never joins characters over a space gives the same ids to a text as to its words
one by one. Few words make most of any text, so that remembering them is several times as fast as
tokenising all of it.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from bigmodel_jax.data.cleaning import clean

# Words are forgotten, all at once, when they and their ids take about this many bytes.
MEMORY = 256 << 20
_OVERHEAD = 200  # bytes of a string, of its ids and of their place in a dict, without the contents


def clean_words(text: str) -> list[str]:
    """What stands between two spaces of the cleaned text."""
    return clean(text).split()


class Wordwise:
    """Encodes text word by word.

    Args:
        encode_words: the ids of each of some words.
        cut: the words of a text.
    """

    def __init__(
        self,
        encode_words: Callable[[list[str]], Iterable[Sequence[int]]],
        cut: Callable[[str], list[str]] = clean_words,
    ):
        self._encode_words, self._cut = encode_words, cut
        self._known: dict[str, bytes] = {}
        self._size = 0

    def encode_batch(self, texts: Iterable[str]) -> list[np.ndarray]:
        """Ids of raw texts, each int32 [length]."""
        split = [self._cut(text) for text in texts]
        if self._size > MEMORY:
            self._known, self._size = {}, 0
        known = self._known
        new = list(set().union(*split).difference(known))
        for word, ids in zip(new, self._encode_words(new) if new else (), strict=True):
            known[word] = np.array(ids, np.int32).tobytes()
            self._size += _OVERHEAD + 2 * len(word) + len(known[word])
        find = known.__getitem__
        return [np.frombuffer(b"".join(map(find, words)), np.int32) for words in split]
