"""A vocabulary of the most frequent words of the training part."""

import functools
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bigmodel_jax.data.cleaning import clean, words
from bigmodel_jax.data.tokenizers import MASK, SEPARATOR, SPECIAL, UNKNOWN
from bigmodel_jax.data.wordwise import Wordwise
from bigmodel_jax.errors import UserError

# The counter holds at most about this many distinct words (some 500 MB). When it is full, words
# seen once are forgotten, then those seen twice, until half of it is free: on a huge corpus the
# counts of rare words are lower bounds, those of words near the top are exact in practice.
COUNTER_LIMIT = 4_000_000
WORDS_CUT = 100_000  # what stands between two spaces, remembered with the words in it


class Tokenizer:
    """Words to ids by frequency: after the special ids comes the most frequent word, and so on.

    Args:
        vocabulary_size: ids, the four special ones among them: 0 padding, 1 unknown, 2 between two
            texts, 3 in place of a hidden word. After `train` or `load` it is the number in use, which
            is smaller where the text has fewer words.
        lowercase: whether "Good" and "good" are one word.
    """

    separator, mask = SEPARATOR, MASK

    def __init__(self, vocabulary_size: int = 10_000, lowercase: bool = True):
        if vocabulary_size <= len(SPECIAL):
            raise UserError(
                f"tokenizer.vocabulary_size is {vocabulary_size}; it must be at least 5: one word and "
                f"{', '.join(SPECIAL)}."
            )
        self.vocabulary_size = vocabulary_size
        self.lowercase = lowercase
        self._words: list[str] = []
        self._ids: dict[str, int] = {}
        self._wordwise = Wordwise(self._encode_words)

    def train(self, texts: Iterable[str]) -> None:
        """Counts words in one pass and keeps the most frequent; ties go in alphabetical order."""
        counts: Counter[str] = Counter()
        cut = functools.lru_cache(WORDS_CUT)(lambda word: words(word, self.lowercase))
        for text in texts:
            counts.update(itertools.chain.from_iterable(map(cut, clean(text).split())))
            if len(counts) > COUNTER_LIMIT:
                counts = _prune(counts, COUNTER_LIMIT // 2)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        self._use([word for word, _ in ranked[: self.vocabulary_size - len(SPECIAL)]])

    def encode(self, text: str) -> np.ndarray:
        """Ids of the words of raw text, int32 [length]."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The same of many, which is faster."""
        return self._wordwise.encode_batch(texts)

    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """The words that ids stand for, to show what a model sees."""
        names = [*SPECIAL, *self._words]
        return [names[i] for i in ids]

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json`: the same bytes for the same vocabulary."""
        content = {"lowercase": self.lowercase, "special": SPECIAL, "words": self._words}
        text = json.dumps(content, ensure_ascii=False, indent=0, sort_keys=True)
        (Path(folder) / "tokenizer.json").write_text(text + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote; a UserError if its ids are not those of this version."""
        path = Path(folder) / "tokenizer.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            lowercase, vocabulary = bool(content["lowercase"]), list(content["words"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is torn or damaged ({error!r}).") from error
        if tuple(content.get("special", ())) != SPECIAL:
            raise UserError(
                f"{path} is of an older version, which had other special ids: its run must be "
                "trained again, or applied with the version that trained it."
            )
        self.lowercase = lowercase
        self._use(vocabulary)

    def _use(self, vocabulary: list[str]) -> None:
        self._words = vocabulary
        self._ids = {word: i for i, word in enumerate(vocabulary, len(SPECIAL))}
        self._wordwise = Wordwise(self._encode_words)
        self.vocabulary_size = len(SPECIAL) + len(vocabulary)

    def _encode_words(self, texts: Sequence[str]) -> list[list[int]]:
        get = self._ids.get
        return [[get(word, UNKNOWN) for word in words(text, self.lowercase)] for text in texts]


def _prune(counts: Counter[str], limit: int) -> Counter[str]:
    """Forgets the rarest words, one count at a time, until at most `limit` are left."""
    rarest = 0
    while len(counts) > limit:
        rarest += 1
        counts = Counter({word: n for word, n in counts.items() if n > rarest})
    return counts
