"""Texts that have a class, labels or a number: the probabilities of them, and why."""

from collections.abc import Iterable, Iterator, Sequence

from bigmodel_jax import apply
from bigmodel_jax.applied import Text, explained
from bigmodel_jax.explanations.answers import Answer, Meaning


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
