"""Questions with several choices: how probable each is."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.applied import Text, base
from bigmodel_jax.applied.printing import Show, table
from bigmodel_jax.data import choices, pair_rows
from bigmodel_jax.errors import UserError


class Answer(NamedTuple):
    """A context, its choices, and the probability of each."""

    context: str
    choices: Sequence[str]
    probabilities: Sequence[float]

    @property
    def chosen(self) -> str:
        return self.choices[int(np.argmax(self.probabilities))]


class Answers(base.Answers):
    """A run on data/choices.py's examples.

    A text is a context and its choices, with a tab between any two; or the context is a text, and
    the choices are its pair. Where the run's questions had a column of their own, whoever asks writes
    the question before each choice, as the model saw it.
    """

    data = ("choices",)

    def __init__(self, *loaded):
        super().__init__(*loaded)
        data = self.config["data"]
        self._tokenizer = pair_rows.build_tokenizer(data["tokenizer"])
        self._tokenizer.load(self.assets)
        self._around, self._length = pair_rows.around(self._tokenizer), data["max_length"]
        self._cut = self._count = 0
        everywhere = jax.sharding.NamedSharding(self.mesh, jax.P())

        def probabilities(variables, batch):
            return self.task.predict(variables, batch)["probabilities"]

        self._probabilities = jax.jit(probabilities, out_shardings=everywhere)

    def texts(self, given: Iterable[Text], tabs: bool) -> Iterator[Text]:
        """Pairs of a context and choices, these with a tab between any two."""
        for text in given:
            context, _, rest = (
                text.partition("\t") if isinstance(text, str) else (text[0], "", text[1])
            )
            found = [one for one in rest.split("\t") if one.strip()]
            if len(found) < 2:
                raise UserError(
                    f"The text {context[:40]!r} has {len(found)} choices: write two or more behind it, "
                    "with a tab before each, or give them as its --pair_text."
                )
            for part in (context, *found):
                base.check_characters(part)
            yield context, "\t".join(found)

    def answers(self, texts: Sequence[tuple[str, str]], batch_size: int = 0) -> list[Answer]:
        several = [tuple(rest.split("\t")) for _, rest in texts]
        examples = [
            [(context, one) for one in found]
            for (context, _), found in zip(texts, several, strict=True)
        ]
        encoded, cut = choices.encode_pairs(examples, self._tokenizer, self._around, self._length)
        self._cut, self._count = self._cut + cut, self._count + len(texts)
        lengths = choices.row_lengths(encoded, self._around)
        # Padded to a power of two, so that few shapes are compiled.
        most = 1 << (max(map(len, several)) - 1).bit_length()
        found: list[Answer] = []
        for rows in self.slices(len(texts), max(batch_size, len(texts))):
            real = rows[rows >= 0]
            length = base.bucket(int(lengths[real].max()), self._length)
            chosen = [encoded[row] if row >= 0 else () for row in rows]
            batch = choices.make_batch(chosen, self._around, most, length)
            values = np.asarray(self._probabilities(self.variables, sharding.put(batch, self.mesh)))
            for i, row in enumerate(map(int, real)):
                shown = values[i, : len(several[row])]
                found.append(Answer(texts[row][0], several[row], shown.tolist()))
        return found

    def as_json(self, answer: Answer) -> dict[str, Any]:
        """{"text": the context, "choices", "probabilities": of each, "answer": the likeliest}."""
        line = {"text": answer.context, "choices": list(answer.choices)}
        return {**line, "probabilities": list(answer.probabilities), "answer": answer.chosen}

    def table(self) -> Show:
        """The likeliest choice and its probability beside the context."""

        def row(answer):
            return [f"{max(answer.probabilities):.4f}", answer.chosen, answer.context]

        return table({"probability": 11, "answer": 0}, row)

    def notes(self) -> list[str]:
        if not self._cut:
            return []
        return [
            f"longer than the {self._length} tokens that the run read at once: a choice of "
            f"{self._cut} of {self._count} texts, whose ends it did not see."
        ]
