"""Texts that have a class, labels or a number: the probabilities of them, and why."""

import functools
from collections.abc import Iterable, Iterator, Sequence

import jax
import numpy as np

from bigmodel_jax import apply, sharding
from bigmodel_jax.applied import Text, explained
from bigmodel_jax.explanations.answers import Answer, Meaning
from bigmodel_jax.explanations.neighbours import embed


class Answers(apply.Applied, explained.Answers):
    """A run on labelled texts, single ones or pairs."""

    data = ("text",)

    @property
    def meaning(self) -> Meaning:
        return Meaning(self.target, self.label_names)

    def texts(self, given: Iterable[Text], tabs: bool) -> Iterator[Text]:
        """As of base.Answers; or pairs."""
        return self.pairs_of(given, tabs) if self.pairs else super().texts(given, tabs)

    def answers(self, texts: Sequence[Text], batch_size: int = 0) -> list[Answer]:
        """What the run says of each text, not explained."""
        values, empty = self.answer(texts, batch_size)
        return [Answer(*found) for found in zip(texts, values, map(bool, empty), strict=True)]

    def embed(self, texts: Sequence[Text]) -> np.ndarray:
        rows = -(-len(texts) // self.rows) * self.rows
        batch = sharding.put(self._batch(texts, rows), self.mesh)
        return np.asarray(self._embed(self.variables, batch))[: len(texts)]

    @functools.cached_property
    def _embed(self):
        return jax.jit(functools.partial(embed, self.task), out_shardings=self._everywhere)
