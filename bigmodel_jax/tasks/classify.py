"""Classification: one label for each example."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux
from bigmodel_jax.tasks import base


class Task(base.Task):
    """Softmax cross-entropy of "label" for models that read "tokens" and "mask".

    Args:
        label_smoothing: see losses.softmax_cross_entropy; evaluation does not smooth.
        class_weights: of the loss, one for each class; the mean is over weights.
    """

    def __init__(
        self, model: Any, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None
    ):
        super().__init__(model)
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
        values = losses.softmax_cross_entropy(logits, batch["label"], smoothing)
        weight = batch["valid"].astype(jnp.float32)
        if self.class_weights is not None:
            weight *= jnp.asarray(self.class_weights, jnp.float32)[batch["label"]]
        correct = logits.argmax(-1) == batch["label"]
        return mean(values, weight), Aux({"accuracy": mean(correct, batch["valid"])}, updates)

    def predict(self, variables, batch) -> dict[str, jax.Array]:
        """{"logits": [batch, classes], "probabilities": [batch, classes]}, float32."""
        logits, _ = self.apply(variables, batch, None, train=False)
        return {"logits": logits, "probabilities": jax.nn.softmax(logits.astype(jnp.float32))}
