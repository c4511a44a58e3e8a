"""Extractive question answering (Rajpurkar et al. 2016): an answer is a span of its context."""

from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux
from bigmodel_jax.tasks import base

NOWHERE = -1e30  # a logit; the sum of two is still a float32


class Task(base.Task):
    """For models from "tokens" and "mask" to logits [batch, length, 2], with head="span".

    A batch has "context" [batch, length] bool, where a span may be, and "start" and "end" [batch]
    int32, the places of its first and its last token; both are 0, the first token of the row, where
    the row has no answer (Devlin et al. 2019, section 4.3). The loss is the mean of the
    cross-entropies of both, over the places of "context" alone. A model that knows types of tokens
    is given "types".

    Args:
        unanswerable: whether questions may have no answer; None takes the data's. A decoder's first
            token has not seen the question: gpt cannot tell.
        max_answer: the longest span that is predicted, in tokens.
        null_threshold: there is no answer where the score of none is so much higher than that of the
            best span (tau in the paper); evaluation says which would have been best.
    """

    target = "spans"
    evaluator = applied = "spans"

    def __init__(
        self,
        model: Any,
        unanswerable: bool | None = None,
        max_answer: int = 30,
        null_threshold: float = 0.0,
    ):
        super().__init__(model)
        if max_answer < 1:
            raise UserError(f"config.task.max_answer is {max_answer}: a number of tokens, 1 up.")
        if (head := getattr(model, "head", "span")) != "span":
            raise UserError(f'config.model.head is {head!r}, but answers need head="span".')
        self.unanswerable = bool(unanswerable)
        self.max_answer, self.null_threshold = max_answer, null_threshold

    def inputs(self, batch):
        return batch["tokens"], batch["mask"]

    def check(self, source) -> None:
        """Raises a UserError for a source of anything but spans."""
        if (given := getattr(source, "target", None)) != self.target:
            raise UserError(
                f"config.task span_answering learns spans, but the data's target is {given!r}: take "
                'config.data=dict(name="answers", ...).'
            )

    def loss(self, variables, batch, rng, *, train):
        logits, updates = self._logits(variables, batch, rng, train=train)
        both = jnp.stack([batch["start"], batch["end"]])
        values = losses.softmax_cross_entropy(logits, both).mean(0)
        right = (logits.argmax(-1) == both).all(0)
        metrics = {"accuracy": mean(right, batch["valid"])}
        return mean(values, batch["valid"]), Aux(metrics, updates)

    def predict(self, variables, batch) -> dict[str, jax.Array]:
        """{"logits": [2, batch, length], "first", "last", "score", "null": [batch]}.

        "first" and "last" are the places of the span in the context with the highest "score", the sum
        of its two logits, float32; "null" is the same of no answer. Where there is no context
        the score is below -1e29.
        """
        logits, _ = self._logits(variables, batch, None, train=False)
        null = logits[:, :, 0].sum(0)
        start, end = logits.at[:, :, 0].set(NOWHERE)
        rows, length = start.shape
        most = min(self.max_answer, length)
        # Of each place where a span may begin, the scores of all its lengths.
        ends = jnp.pad(end, ((0, 0), (0, most - 1)), constant_values=NOWHERE)
        index = jnp.arange(length)[:, None] + jnp.arange(most)
        scores = (start[..., None] + ends[:, index]).reshape(rows, -1)
        best = scores.argmax(-1)
        first = (best // most).astype(jnp.int32)
        return {
            "logits": logits,
            "first": first,
            "last": first + (best % most).astype(jnp.int32),
            "score": scores.max(-1),
            "null": null,
        }

    def says_none(self, odds: float) -> bool:
        """Whether there is no answer, where the score of none is so much higher than the span's."""
        return self.unanswerable and odds > self.null_threshold

    def _logits(self, variables, batch, rng, *, train):
        """(float32 [2, batch, length], new untrained variables)."""
        known = getattr(self.model, "num_types", 0) > 1
        options = {"types": batch["types"]} if known else {}
        logits, updates = self.apply(variables, batch, rng, train=train, **options)
        logits = jnp.moveaxis(logits.astype(jnp.float32), -1, 0)
        return jnp.where(batch["context"], logits, NOWHERE), updates
