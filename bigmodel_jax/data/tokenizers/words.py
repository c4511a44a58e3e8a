"""A vocabulary of the most frequent words of the training part."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bigmodel_jax.data.cleaning import clean, words
from bigmodel_jax.errors import UserError

_SPECIAL = ("<padding>", "<unknown>")
UNKNOWN = _SPECIAL.index("<unknown>")

# The counter holds at most about this many distinct words (some 500 MB). When it is full, words
# seen once are forgotten, then those seen twice, until half of it is free: on a huge corpus the
# counts of rare words are lower bounds, those of words near the top are exact in practice.
COUNTER_LIMIT = 4_000_000


class Tokenizer:
    """Words to ids by frequency: 0 padding, 1 unknown, 2 the most frequent word, and so on.

    Args:
        vocabulary_size: ids, the two special ones among them; after `train` or `load` it is the
            number in use, which is smaller where the text has fewer words.
        lowercase: whether "Good" and "good" are one word.
    """

    def __init__(self, vocabulary_size: int = 10_000, lowercase: bool = True):
        if vocabulary_size < 3:
            raise UserError(
                f"tokenizer.vocabulary_size is {vocabulary_size}; it must be at least 3: padding, "
                "unknown and one word."
            )
        self.vocabulary_size = vocabulary_size
        self.lowercase = lowercase
        self._words: list[str] = []
        self._ids: dict[str, int] = {}

    def train(self, texts: Iterable[str]) -> None:
        """Counts words in one pass and keeps the most frequent; ties go in alphabetical order."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(words(clean(text), self.lowercase))
            if len(counts) > COUNTER_LIMIT:
                counts = _prune(counts, COUNTER_LIMIT // 2)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        self._use([word for word, _ in ranked[: self.vocabulary_size - len(_SPECIAL)]])

    def encode(self, text: str) -> np.ndarray:
        """Ids of the words of raw text, int32 [length]."""
        get = self._ids.get
        ids = [get(word, UNKNOWN) for word in words(clean(text), self.lowercase)]
        return np.array(ids, np.int32)

    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """The words that ids stand for, to show what a model sees."""
        names = [*_SPECIAL, *self._words]
        return [names[i] for i in ids]

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json`: the same bytes for the same vocabulary."""
        content = {"lowercase": self.lowercase, "words": self._words}
        text = json.dumps(content, ensure_ascii=False, indent=0, sort_keys=True)
        (Path(folder) / "tokenizer.json").write_text(text + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote."""
        content = json.loads((Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
        self.lowercase = content["lowercase"]
        self._use(content["words"])

    def _use(self, vocabulary: list[str]) -> None:
        self._words = vocabulary
        self._ids = {word: i for i, word in enumerate(vocabulary, len(_SPECIAL))}
        self.vocabulary_size = len(_SPECIAL) + len(vocabulary)


def _prune(counts: Counter[str], limit: int) -> Counter[str]:
    """Forgets the rarest words, one count at a time, until at most `limit` are left."""
    rarest = 0
    while len(counts) > limit:
        rarest += 1
        counts = Counter({word: n for word, n in counts.items() if n > rarest})
    return counts
