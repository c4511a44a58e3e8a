"""Multi-label classification: any number of labels for each example."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux, Variables
from bigmodel_jax.tasks import labelled


class Task(labelled.Task):
    """A "label" [batch, classes] float32, 0 or 1: a binary cross-entropy each, their mean.

    Args:
        label_smoothing: of the training loss; evaluation does not smooth.
        pos_weight: "balanced" multiplies the loss of a label that is there by (examples without it)
            / (examples with it), counted in the training part.
        mean, std: of images; see labelled.Task.
    """

    target, evaluator = "labels", "multilabel"
    own = ("pos_weight",)

    def __init__(
        self,
        model: Any,
        label_smoothing: float = 0.0,
        pos_weight: Literal["balanced"] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ):
        super().__init__(model, mean, std)
        if pos_weight not in (None, "balanced"):
            raise UserError(
                f'config.task.pos_weight is {pos_weight!r}, but it is "balanced" or left out.'
            )
        self.label_smoothing, self.balanced = label_smoothing, pos_weight == "balanced"

    def init(self, rng, batch):
        variables = super().init(rng, batch)
        if self.balanced:
            variables = {
                **variables,
                "pos_weight": jnp.ones((self.model.num_classes,), jnp.float32),
            }
        return variables

    def fit(self, variables: Variables, batches: Iterable[dict[str, np.ndarray]]) -> Variables:
        """`variables` with balanced weights, if wanted; else `batches` are left alone."""
        if not self.balanced:
            return variables
        total, there = 0, np.zeros(np.shape(variables["pos_weight"]), np.int64)
        for batch in batches:
            labels = batch["label"][batch["valid"]]
            total, there = total + len(labels), there + labels.astype(np.int64).sum(0)
        # A label that nobody or everybody has tells nothing: its losses stay as they are.
        usual = (there > 0) & (there < total)
        weights = np.where(usual, (total - there) / np.maximum(there, 1), 1.0)
        return {**variables, "pos_weight": weights.astype(np.float32)}

    def loss(self, variables, batch, rng, *, train):
        labels, valid = batch["label"], batch["valid"]
        logits, updates = self.apply(variables, batch, rng, train=train)
        smoothing = self.label_smoothing if train else 0.0
        values = losses.sigmoid_cross_entropy(logits, labels, smoothing)
        if self.balanced:
            values *= jnp.where(labels > 0, variables["pos_weight"], 1.0)
        right = ((logits >= 0) == (labels > 0)).all(-1)
        metrics = {"subset_accuracy": mean(right, valid)}
        return mean(values.mean(-1), valid), Aux(metrics, updates)

    def predict(self, variables, batch) -> dict[str, jax.Array]:
        """{"logits": [batch, classes], "probabilities": [batch, classes]}, float32."""
        logits = self.logits(variables, batch)
        return {"logits": logits, "probabilities": jax.nn.sigmoid(logits)}
