"""Classification: one label for each example."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux
from bigmodel_jax.tasks import base


class Task(base.Task):
    """One "label" for models that read "tokens" and "mask".

    Args:
        loss: "softmax" cross-entropy; "sigmoid", a binary cross-entropy for each class against the
            rest, summed; or "squared_error" of the softmax's probabilities, summed (Brier 1950).
        label_smoothing: of the training loss; evaluation does not smooth.
        class_weights: of the loss, one for each class; the mean is over weights.
    """

    def __init__(
        self,
        model: Any,
        loss: str = "softmax",
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ):
        super().__init__(model)
        if loss not in (known := ("softmax", "sigmoid", "squared_error")):
            raise UserError(f"config.task.loss is {loss!r}.{nearest(loss, known)}")
        self.kind = loss
        self.label_smoothing, self.class_weights = label_smoothing, class_weights
        classes = getattr(model, "num_classes", None)
        if class_weights is not None and classes not in (None, len(class_weights)):
            raise UserError(
                f"config.task.class_weights has {len(class_weights)} weights for {classes} classes."
            )

    def inputs(self, batch):
        return batch["tokens"], batch["mask"]

    def loss(self, variables, batch, rng, *, train):
        logits, updates = self.apply(variables, batch, rng, train=train)
        smoothing = self.label_smoothing if train else 0.0
        values = self.values(logits, batch["label"], smoothing)
        weight = batch["valid"].astype(jnp.float32)
        if self.class_weights is not None:
            weight *= jnp.asarray(self.class_weights, jnp.float32)[batch["label"]]
        correct = logits.argmax(-1) == batch["label"]
        return mean(values, weight), Aux({"accuracy": mean(correct, batch["valid"])}, updates)

    def values(self, logits: jax.Array, labels: jax.Array, smoothing: float) -> jax.Array:
        """The loss of each example, [batch]."""
        if self.kind == "softmax":
            return losses.softmax_cross_entropy(logits, labels, smoothing)
        targets = jax.nn.one_hot(labels, logits.shape[-1])
        if self.kind == "sigmoid":
            return losses.sigmoid_cross_entropy(logits, targets, smoothing).sum(-1)
        targets = targets * (1 - smoothing) + smoothing / logits.shape[-1]
        return losses.squared_error(self.probabilities(logits), targets).sum(-1)

    def probabilities(self, logits: jax.Array) -> jax.Array:
        """[batch, classes], float32; with the sigmoid loss each class has its own, not one sum."""
        squash = jax.nn.sigmoid if self.kind == "sigmoid" else jax.nn.softmax
        return squash(logits.astype(jnp.float32))

    def predict(self, variables, batch) -> dict[str, jax.Array]:
        """{"logits": [batch, classes], "probabilities": [batch, classes]}, float32."""
        logits, _ = self.apply(variables, batch, None, train=False)
        return {"logits": logits, "probabilities": self.probabilities(logits)}
