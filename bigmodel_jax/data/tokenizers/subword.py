"""Pieces of words: byte-level BPE, WordPiece or Unigram, trained on the training part.

Frequent words are one piece, rare ones several, so that (almost) nothing is unknown:

    tokenizer=dict(name="subword", kind="bpe", vocabulary_size=16_000)

`tokenizer.json` is the file of that name which the `tokenizers` package reads, too.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bigmodel_jax.data import published
from bigmodel_jax.data import subword_training as training
from bigmodel_jax.data.tokenizers import MASK, SEPARATOR, SPECIAL
from bigmodel_jax.data.wordwise import Wordwise
from bigmodel_jax.errors import UserError, nearest

BYTES = 256  # byte-level BPE has each as a piece


class Tokenizer:
    """Text to ids of pieces of words; ids 0 to 3 are padding, unknown, separator and mask.

    Args:
        kind: "bpe" (of bytes: nothing is unknown), "wordpiece" or "unigram".
        vocabulary_size: ids, the four special ones among them. After `train` or `load` it is the
            number in use, which is smaller where the text has fewer pieces.
        lowercase: whether "Good" and "good" are the same.
    """

    separator, mask = SEPARATOR, MASK

    def __init__(self, kind: str = "bpe", vocabulary_size: int = 16_000, lowercase: bool = True):
        check_size(kind, vocabulary_size)
        self.kind, self.vocabulary_size, self.lowercase = kind, vocabulary_size, lowercase

    def train(self, texts: Iterable[str]) -> None:
        """Counts words in one pass and trains on the counts: the same vocabulary every time."""
        train = training.TRAINERS[self.kind]
        self._use(train(training.count_words(texts), self.vocabulary_size, self.lowercase))

    def encode(self, text: str) -> np.ndarray:
        """Ids of the pieces of raw text, int32 [length]."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The same of many, which is faster."""
        return self._wordwise.encode_batch(texts)

    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """The pieces that ids stand for, with their kind's mark: "Ġfilm", "##ing" or "▁film"."""
        named = [SPECIAL[i] if i < len(SPECIAL) else None for i in ids]
        return [
            n or published.piece(self._tokenizer, int(i)) for n, i in zip(named, ids, strict=True)
        ]

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json`: the same bytes for the same vocabulary."""
        text = self._tokenizer.to_str(pretty=True)
        (Path(folder) / "tokenizer.json").write_text(text + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote."""
        path = Path(folder) / "tokenizer.json"
        self._use(published.parse(path.read_bytes(), str(path)))

    def _use(self, tokenizer) -> None:
        self._tokenizer = tokenizer
        self._wordwise = Wordwise(lambda words: published.encode_clean(tokenizer, words))
        self.vocabulary_size = tokenizer.get_vocab_size()


def check_size(kind: str, vocabulary_size: int) -> None:
    """Raises a UserError for an unknown kind, or for fewer ids than it needs."""
    if kind not in training.TRAINERS:
        raise UserError(f"There is no tokenizer.kind {kind!r}.{nearest(kind, training.TRAINERS)}")
    least = len(SPECIAL) + (BYTES + 1 if kind == "bpe" else 4)
    if vocabulary_size < least:
        raise UserError(
            f"tokenizer.vocabulary_size is {vocabulary_size}; for {kind!r} it must be at least "
            f"{least}{': the 256 bytes, a piece' if kind == 'bpe' else ': some pieces'} and "
            f"{', '.join(SPECIAL)}."
        )
