"""Evaluates a tagger: every word of a split once; entities by precision, recall and F1."""

from collections.abc import Mapping

import jax
import numpy as np

from bigmodel_jax.evals import tagging_metrics
from bigmodel_jax.evals.passes import Pass
from bigmodel_jax.metrics import Sums


class Evaluator(Pass):
    """Loss, the accuracy of words, and the F1 of entities (tagging_metrics.py)."""

    target = "tags"

    def compute(self, task, variables, batch):
        value, _ = task.loss(variables, batch, jax.random.key(0), train=False)
        ids = task.predict(variables, batch)["logits"].argmax(-1)
        return {"loss": value}, ids, batch["label"]

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name; `details` then says of how many rows."""
        sums, sentences = Sums(), []
        names = np.array(self.source.label_names)
        for _, (row, ids, labels) in self.results(variables):
            sums.add(row)
            for guess, gold in zip(ids, labels, strict=True):
                real = gold >= 0  # none in a row of padding
                sentences.append((names[gold[real]].tolist(), names[guess[real]].tolist()))
        self.details = {"examples": self.source.examples, "label_names": names.tolist()}
        return {**sums.means(), **tagging_metrics.compute(sentences, names.tolist())}
