"""The set of word n-grams of a text, hashed into a fixed number of buckets.

Nothing is learnt and no vocabulary is kept, so any corpus of any size has the same tokenizer
("the hashing trick", Weinberger et al. 2009). Order and repetition are dropped: this is the binary
bag of n-grams of Wang and Manning (2012), for models that sum over features.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bigmodel_jax.data.cleaning import clean, words
from bigmodel_jax.errors import UserError

# Hashes of words seen before, forgotten all at once when there are this many (some 150 MB).
_CACHE_LIMIT = 1_000_000
# Odd 64-bit constants: the multiplier that chains words, and the two of splitmix64's finaliser.
_CHAIN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Tokenizer:
    """Text to the sorted, distinct ids of its word 1-grams to n-grams; 0 is padding.

    Args:
        n: words in the longest n-gram.
        buckets: ids, the padding among them, so that a power of two divides over any mesh; n-grams
            that fall into one bucket are one feature.
        lowercase: whether "Good" and "good" are one word.
    """

    def __init__(self, n: int = 3, buckets: int = 2**22, lowercase: bool = True):
        if n < 1 or not 2 <= buckets < 2**31:
            raise UserError(
                f"tokenizer.n is {n} and tokenizer.buckets is {buckets}; n must be at least 1, "
                "buckets from 2 to 2**31 - 1."
            )
        self.n = n
        self.buckets = buckets
        self.lowercase = lowercase
        self._hashes: dict[str, int] = {}

    @property
    def vocabulary_size(self) -> int:
        """The number of buckets."""
        return self.buckets

    def train(self, texts: Iterable[str]) -> None:
        """Does nothing, and reads nothing: a hash needs no training."""

    def encode(self, text: str) -> np.ndarray:
        """Sorted distinct ids of the n-grams of raw text, int32 [features]."""
        return self.encode_words(words(clean(text), self.lowercase))

    def encode_words(self, tokens: list[str]) -> np.ndarray:
        """Sorted distinct ids of the n-grams of a list of words, int32 [features]."""
        single = np.array([self._hash(word) for word in tokens], np.uint64)
        orders, gram = [single], single
        for length in range(2, self.n + 1):
            gram = gram[:-1] * _CHAIN + single[length - 1 :]  # wraps around, as it should
            orders.append(gram)
        ids = _finalise(np.concatenate(orders)) % np.uint64(self.buckets - 1)
        return np.unique(ids.astype(np.int32)) + np.int32(1)

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json`: the settings are all there is."""
        content = {"buckets": self.buckets, "lowercase": self.lowercase, "n": self.n}
        text = json.dumps(content, indent=0, sort_keys=True)
        (Path(folder) / "tokenizer.json").write_text(text + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote."""
        content = json.loads((Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
        self.n, self.buckets = content["n"], content["buckets"]
        self.lowercase = content["lowercase"]

    def _hash(self, word: str) -> int:
        """A 64-bit hash of a word, the same on every machine (Python's own is salted)."""
        value = self._hashes.get(word)
        if value is None:
            if len(self._hashes) >= _CACHE_LIMIT:
                self._hashes.clear()
            digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            value = self._hashes[word] = int.from_bytes(digest, "little")
        return value


def _finalise(x: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser: every input bit reaches every output bit (uint64 [n])."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))
