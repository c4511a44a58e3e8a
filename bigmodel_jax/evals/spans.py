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
        self._unanswerable, self._threshold = task.unanswerable, task.null_threshold

    def compute(self, task, variables, batch):
        value, _ = task.loss(variables, batch, jax.random.key(0), train=False)
        found = task.predict(variables, batch)
        return {"loss": value}, {k: found[k] for k in ("first", "last", "score", "null")}

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name; `details` then says of how many questions, and holds "predictions", the
        answers by the questions' ids as the official scripts read them."""
        sums, source = Sums(), self.source
        windows: dict[str, np.ndarray] = {}
        for step, (row, found) in self.results(variables):
            sums.add(row)
            index = source.rows(step)
            for name, values in found.items():
                whole = windows.setdefault(name, np.zeros(source.examples, values.dtype))
                whole[index[index >= 0]] = values[index >= 0]
        spans = source.windows.best(**windows)
        pairs = list(zip(source.questions, spans, strict=True))
        answers = [asked.context[span.start : span.stop] for asked, span in pairs]
        gold = [[answer.text for answer in asked.answers] for asked, _ in pairs]
        odds = [span.null - span.score for span in spans] if self._unanswerable else None
        numbers = span_metrics.compute(answers, gold, odds, self._threshold)
        none = [self._unanswerable and span.null - span.score > self._threshold for span in spans]
        self.details = {
            "examples": len(spans),
            "predictions": {
                asked.id: "" if empty else answer
                for (asked, _), answer, empty in zip(pairs, answers, none, strict=True)
            },
        }
        return {**sums.means(), **numbers}
