"""Questions about texts: the part of the text that answers, or that there is none."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.applied import Text, base
from bigmodel_jax.applied.printing import Show, table
from bigmodel_jax.data import pair_rows
from bigmodel_jax.data.windows import NOWHERE, Span, Windows


class Answer(NamedTuple):
    """A question, its context, and the likeliest span of it.

    `text` is the answer: empty where there is none, or is thought to be none.
    """

    question: str
    context: str
    span: Span
    text: str


class Answers(base.Answers):
    """A run on data/answers.py's questions; a long context is several windows, as it is there."""

    data = ("answers",)

    def __init__(self, *loaded):
        super().__init__(*loaded)
        data = self.config["data"]
        self._tokenizer = pair_rows.build_tokenizer(data["tokenizer"])
        self._tokenizer.load(self.assets)
        self._around = pair_rows.around(self._tokenizer)
        self._room = {key: data[key] for key in ("max_length", "stride", "max_question")}
        self._cut = self._count = 0
        everywhere = jax.sharding.NamedSharding(self.mesh, jax.P())

        def best(variables, batch):
            found = self.task.predict(variables, batch)
            return {key: found[key] for key in ("first", "last", "score", "null")}

        self._best = jax.jit(best, out_shardings=everywhere)

    def texts(self, given: Iterable[Text], tabs: bool) -> Iterator[Text]:
        """Pairs of a question and a context."""
        return self.pairs_of(given, tabs)

    def answers(self, texts: Sequence[tuple[str, str]], batch_size: int = 0) -> list[Answer]:
        windows = Windows(texts, self._tokenizer, self._around, **self._room)
        self._cut, self._count = self._cut + windows.cut, self._count + len(texts)
        found: dict[str, list] = {}
        for rows in self.slices(len(windows.owner), max(batch_size, len(texts))):
            real = rows[rows >= 0]
            length = base.bucket(int(windows.lengths[real].max()), self._room["max_length"])
            batch = sharding.put(windows.batch(rows, length), self.mesh)
            for key, values in jax.device_get(self._best(self.variables, batch)).items():
                found.setdefault(key, []).append(values[: len(real)])
        spans = windows.best(**{key: np.concatenate(values) for key, values in found.items()})
        return [
            Answer(question, context, span, "" if self._is_null(span) else span.of(context))
            for (question, context), span in zip(texts, spans, strict=True)
        ]

    def as_json(self, answer: Answer) -> dict[str, Any]:
        """{"text": the question, "pair": the context, "answer", "start", "end", "score"}.

        The answer is pair[start:end], in characters; of none it is "", and the others are null. Where
        questions may have no answer also "null_probability", of none, and "best", the likeliest span
        whether it is the answer or not.
        """
        span = answer.span
        none = dict.fromkeys(("start", "end", "score"))
        there = {"start": span.start, "end": span.stop, "score": span.score}
        line = {"text": answer.question, "pair": answer.context, "answer": answer.text}
        line |= there if answer.text else none
        if self.task.unanswerable:
            line |= {"null_probability": span.null_probability, "best": span.of(answer.context)}
        return line

    def table(self) -> Show:
        """The answer beside its question, and how probable it is that there is none."""
        columns = {"none": 6} if self.task.unanswerable else {}

        def row(answer):
            shown = [f"{answer.span.null_probability:.4f}"] if columns else []
            return [*shown, " ".join(answer.text.split()) or "-", answer.question]

        return table({**columns, "answer": 0}, row)

    def notes(self) -> list[str]:
        if not self._cut:
            return []
        return [
            f"longer than the {self._room['max_question']} tokens that the run read of a question: "
            f"{self._cut} of {self._count}, of which it saw the beginnings."
        ]

    def _is_null(self, span: Span) -> bool:
        return span.score <= NOWHERE or self.task.says_none(span.null - span.score)
