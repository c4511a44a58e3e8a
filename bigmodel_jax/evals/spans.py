"""Evaluates extractive question answering: every question of a split once, over all its windows."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax.evals import span_metrics
from bigmodel_jax.evals.passes import Pass
from bigmodel_jax.metrics import Sums


class Evaluator(Pass):
    """Loss, and exact match and F1 of the answers (span_metrics.py)."""

    target = "spans"

    def __init__(
        self,
        *,
        split: str,
        task: Any,
        open_source: Callable,
        mesh: jax.sharding.Mesh,
        batch_size: int = 256,
    ):
        super().__init__(
            split=split, task=task, open_source=open_source, mesh=mesh, batch_size=batch_size
        )
        self._says_none, self._unanswerable = task.says_none, task.unanswerable

    def compute(self, task, variables, batch):
        value, _ = task.loss(variables, batch, jax.random.key(0), train=False)
        found = task.predict(variables, batch)
        return {"loss": value}, {k: found[k] for k in ("first", "last", "score", "null")}

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name; `details` then says of how many questions, and holds "predictions", the
        answers by the questions' ids as the official scripts read them, and "exact" and "f1" of each,
        float32 [questions]. Where questions may have no
        answer "f1/best" is what the null threshold "threshold/best" would have reached."""
        sums, source = Sums(), self.source
        windows: dict[str, np.ndarray] = {}
        for step, (row, found) in self.results(variables):
            sums.add(row)
            index = source.rows(step)
            for name, values in found.items():
                whole = windows.setdefault(name, np.zeros(source.examples, values.dtype))
                whole[index[index >= 0]] = values[index >= 0]
        spans = source.windows.best(**windows)
        asked = source.questions
        answers = [span.of(one.context) for one, span in zip(asked, spans, strict=True)]
        gold = [[answer.text for answer in one.answers] for one in asked]
        odds = [span.null - span.score for span in spans]
        given = [
            "" if self._says_none(odd) else answer
            for answer, odd in zip(answers, odds, strict=True)
        ]
        ids = [one.id for one in asked]
        found = span_metrics.scores(given, gold)
        self.details = {
            "examples": len(asked),
            "predictions": dict(zip(ids, given, strict=True)),
            **found,
        }
        numbers = {**sums.means(), **span_metrics.summary(found, gold)}
        if self._unanswerable:
            best = span_metrics.best_threshold(answers, gold, odds)
            numbers |= dict(zip(("f1/best", "threshold/best"), best, strict=True))
        return numbers
