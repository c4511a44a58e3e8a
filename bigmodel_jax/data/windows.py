"""Questions beside contexts that may be longer than a row: windows of a context, which overlap.

    [CLS] question [SEP] some of the context [SEP]

A window is a row. Which characters of the context a token is of is remembered, so that what a model
points at in a row is text of the context, with its capitals and spaces.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.data import pair_rows
from bigmodel_jax.data.rows import Around
from bigmodel_jax.errors import UserError

NOWHERE = -1e29  # a score below: no token may be an answer


class Span(NamedTuple):
    """The likeliest answer of a question: characters [start, stop) of its context.

    Attributes:
        score: the logit of its first token plus that of its last.
        null: the same of no answer, where that was the least likely.
    """

    start: int
    stop: int
    score: float
    null: float

    def of(self, context: str) -> str:
        """The text of the span."""
        return context[self.start : self.stop]

    @property
    def null_probability(self) -> float:
        """Of no answer, against this one."""
        return float(1 / (1 + np.exp(np.clip(self.score - self.null, -700, 700))))


class Windows:
    """The windows of some questions and their contexts.

    A context is cut into windows that begin `stride` tokens after one another (BERT's doc_stride), as
    long as rows allow; a question longer than `max_question` tokens loses its end.

    Args:
        texts: (question, context) of each.
        tokenizer: see data/pair_rows.py.

    Attributes:
        owner: which question a window is of, int [windows], rising.
        lengths: tokens of its row, int [windows].
        cut, several: how many questions lost their ends; have contexts of several windows.
    """

    def __init__(
        self,
        texts: Sequence[tuple[str, str]],
        tokenizer: Any,
        around: Around,
        *,
        max_length: int,
        stride: int,
        max_question: int,
    ):
        least = max_question + around.count + 1
        if max_question < 1 or stride < 1 or max_length < least:
            raise UserError(
                f"config.data.max_length {max_length} has no room for a question of max_question "
                f"{max_question} tokens and a context that is read in windows {stride} apart: it is "
                f"at least {least}, the others at least 1."
            )
        self._around = around
        known = _encode(tokenizer, (context for _, context in texts))
        asked = _encode(tokenizer, (question for question, _ in texts))
        self._questions = [asked[question][0][:max_question] for question, _ in texts]
        self._contexts = [known[context] for _, context in texts]
        self.cut = sum(len(asked[question][0]) > max_question for question, _ in texts)
        windows: list[tuple[int, int, int]] = []
        for i, (question, (ids, _)) in enumerate(zip(self._questions, self._contexts, strict=True)):
            room, first = max_length - around.count - len(question), 0
            while first + room < len(ids):
                windows.append((i, first, room))
                first += min(stride, room)
            windows.append((i, first, len(ids) - first))
        columns = np.array(windows, np.int64).reshape(-1, 3).T
        self.owner, self._first, self._count = columns
        asked_lengths = np.array([len(question) for question in self._questions], np.int64)
        # The place in a row of the window's first token.
        self._head = len(around.before) + asked_lengths[self.owner] + len(around.between)
        self.lengths = self._head + self._count + len(around.after)
        self.several = int((np.bincount(self.owner) > 1).sum()) if windows else 0

    def batch(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        """Some windows padded to a length, -1 for a row of padding.

        "tokens", "types" and "mask" as of data/pair_rows.py; "context", bool [rows, length], is True
        where an answer may be: in the context, and at the first token, which stands for no answer.
        """
        pairs = [self._pair(row) if row >= 0 else None for row in rows]
        batch = pair_rows.fill(self._around, pairs, length)
        head = np.where(rows >= 0, self._head[rows], length)[:, None]
        stop = np.where(rows >= 0, self._count[rows], 0)[:, None] + head
        place = np.arange(length)
        real = (rows >= 0)[:, None]
        batch["context"] = (place >= head) & (place < stop) | (place == 0) & real
        return batch

    def places(self, spans: Sequence[tuple[int, int] | None]) -> tuple[np.ndarray, np.ndarray]:
        """The first and the last token of an answer, int32 [windows] each.

        Both are 0, the first token of the row, where a window has not all of the answer.

        Args:
            spans: characters [start, stop) of each question's context, or None.
        """
        tokens = [
            None if span is None else _covering(offsets, *span)
            for span, (_, offsets) in zip(spans, self._contexts, strict=True)
        ]
        first, last = (np.zeros(len(self.owner), np.int32) for _ in range(2))
        for i, (owner, start, count) in enumerate(
            zip(self.owner, self._first, self._count, strict=True)
        ):
            span = tokens[owner]
            if span is not None and start <= span[0] and span[1] < start + count:
                first[i], last[i] = (place - start + self._head[i] for place in span)
        return first, last

    def best(
        self, first: np.ndarray, last: np.ndarray, score: np.ndarray, null: np.ndarray
    ) -> list[Span]:
        """The likeliest answer of each question, over all of its windows.

        Args:
            first, last, score, null: of each window's, [windows]; see tasks/span_answering.py.
        """
        order = np.lexsort((-score, self.owner))
        chosen = order[np.flatnonzero(np.diff(self.owner[order], prepend=-1))]
        lowest = np.full(len(chosen), np.inf)
        np.minimum.at(lowest, self.owner, null)
        found = []
        for window, least in zip(chosen, lowest, strict=True):
            start = stop = 0
            if score[window] > NOWHERE:
                offsets = self._contexts[self.owner[window]][1]
                shift = self._first[window] - self._head[window]
                start, stop = (
                    int(offsets[first[window] + shift, 0]),
                    int(offsets[last[window] + shift, 1]),
                )
            found.append(Span(start, max(start, stop), float(score[window]), float(least)))
        return found

    def _pair(self, window) -> tuple[np.ndarray, np.ndarray]:
        owner, first = self.owner[window], self._first[window]
        return self._questions[owner], self._contexts[owner][0][first : first + self._count[window]]


def _encode(tokenizer: Any, texts: Iterable[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(ids, characters of each) by text; each text once."""
    different = list(dict.fromkeys(texts))
    return dict(zip(different, tokenizer.encode_offsets(different), strict=True))


def _covering(offsets: np.ndarray, start: int, stop: int) -> tuple[int, int] | None:
    """The first and the last token that have characters of [start, stop), if any has."""
    found = np.flatnonzero((offsets[:, 0] < stop) & (offsets[:, 1] > start))
    return (int(found[0]), int(found[-1])) if len(found) else None
