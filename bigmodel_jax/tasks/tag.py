"""Tagging: a label for each word of a text, such as named entities or parts of speech."""

from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import losses
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux
from bigmodel_jax.tasks import base


class Task(base.Task):
    """For models from "tokens" and "mask" to logits [batch, length, classes], with head="tag".

    A "label" [batch, length] int32 stands at the first piece of each word; -1, elsewhere, counts in
    nothing. The loss is the mean over words.

    Args:
        label_smoothing: of the training loss; evaluation does not smooth.
    """

    target, evaluator, applied = "tags", "tagging", "tags"

    def __init__(self, model: Any, label_smoothing: float = 0.0):
        super().__init__(model)
        self.label_smoothing = label_smoothing

    def inputs(self, batch):
        return batch["tokens"], batch["mask"]

    def loss(self, variables, batch, rng, *, train):
        logits, updates = self.apply(variables, batch, rng, train=train)
        real = (batch["label"] >= 0) & batch["valid"][:, None]
        labels = jnp.where(real, batch["label"], 0)
        smoothing = self.label_smoothing if train else 0.0
        values = losses.softmax_cross_entropy(logits, labels, smoothing)
        accuracy = mean(logits.argmax(-1) == labels, real)
        return mean(values, real), Aux({"accuracy": accuracy}, updates)

    def predict(self, variables, batch) -> dict[str, jax.Array]:
        """{"logits": [batch, length, classes], "probabilities": the same}, float32."""
        logits, _ = self.apply(variables, batch, None, train=False)
        logits = logits.astype(jnp.float32)
        return {"logits": logits, "probabilities": jax.nn.softmax(logits)}
