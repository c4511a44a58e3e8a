"""Texts answered by an encoder-decoder, however many: sorted by length, in batches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from bigmodel_jax.data.pairs import encode, shorten
from bigmodel_jax.errors import UserError
from bigmodel_jax.generation.seq2seq import Generator, padded_length

MORE = 10  # tokens that an answer may have besides


class Search(NamedTuple):
    """How answers are searched for.

    Attributes:
        beams: 1 takes the likeliest token each time.
        length_penalty: of more beams: above 0 favours longer texts.
        max_ratio: tokens of an answer at most, for each of the longest source of its batch as it is
            padded, and 10 more.
        batch_size: sources at once.
    """

    beams: int = 4
    length_penalty: float = 1.0
    max_ratio: float = 2.0
    batch_size: int = 64

    def check(self) -> "Search":
        """Itself, if its values mean something; raises a UserError otherwise."""
        for name, value in (("beams", self.beams), ("batch_size", self.batch_size)):
            if value < 1:
                raise UserError(f"{name} is {value}, but it is 1 or more.")
        if self.max_ratio <= 0:
            raise UserError(f"max_ratio is {self.max_ratio}, but it is above 0.")
        return self


class Translator:
    """Answers texts with a model and its tokenizer.

    Args:
        generator: of the model.
        tokenizer: gives text back.
        most: tokens of a source; of a longer one the beginning is read.
    """

    def __init__(self, generator: Generator, tokenizer: Any, most: int, search: Search):
        self._generator, self._tokenizer, self._most = generator, tokenizer, most
        self._search = search.check()

    def translate(self, texts: Sequence[str]) -> list[str]:
        """An answer to each text."""
        sources = [shorten(encode(text, self._tokenizer), self._most).tolist() for text in texts]
        order = sorted(range(len(texts)), key=lambda i: len(sources[i]))
        found = [""] * len(texts)
        for start in range(0, len(order), self._search.batch_size):
            part = order[start : start + self._search.batch_size]
            for i, ids in zip(part, self._answers([sources[i] for i in part]), strict=True):
                found[i] = self._tokenizer.decode(ids)
        return found

    def _answers(self, sources):
        longest = padded_length(max(map(len, sources)))
        max_tokens = int(self._search.max_ratio * longest) + MORE
        if self._search.beams == 1:
            return self._generator.write(sources, max_tokens)
        beams, penalty = self._search.beams, self._search.length_penalty
        return self._generator.search(sources, max_tokens, beams, length_penalty=penalty)
