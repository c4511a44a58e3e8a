"""Classification: one label for each example."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.metrics import Mean, mean
from bigmodel_jax.steps import Aux, Variables
from bigmodel_jax.tasks import labelled

LOOKED_AT = 5000  # images


class Task(labelled.Task):
    """One "label" [batch] int32 for each text or image.

    Of mixed images (data/batch_transforms/mix.py) the loss is that of "label" and of "other_label", by
    the "share" of the first, which for these losses is that of the mixed label.

    Args:
        loss: "softmax" cross-entropy; "sigmoid", a binary cross-entropy for each class against the
            rest, summed; "squared_error" of the softmax's probabilities, summed (Brier 1950); or
            "focal", cross-entropy times (1 - the label's probability)^gamma (Lin et al. 2017).
        gamma: of the focal loss.
        label_smoothing: of the training loss; evaluation does not smooth.
        class_weights: of the loss, one for each class; the mean is over weights. "balanced" counts
            the training part, and lets all of its classes weigh the same in sum; a class that it
            lacks gets 1.
        mean, std: of images; see labelled.Task.
    """

    own = ("class_weights",)

    def __init__(
        self,
        model: Any,
        loss: str = "softmax",
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | Literal["balanced"] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        gamma: float = 2.0,
    ):
        super().__init__(model, mean, std)
        if loss not in (known := ("softmax", "sigmoid", "squared_error", "focal")):
            raise UserError(f"config.task.loss is {loss!r}.{nearest(loss, known)}")
        self.kind, self.gamma = loss, gamma
        self.label_smoothing, self.class_weights = label_smoothing, class_weights
        classes = getattr(model, "num_classes", None)
        if class_weights == "balanced":
            if classes is None:
                raise UserError('config.task.class_weights="balanced" needs a model.num_classes.')
        elif isinstance(class_weights, str):
            raise UserError(
                f'config.task.class_weights is {class_weights!r}, but it is "balanced" or numbers.'
            )
        elif class_weights is not None and classes not in (None, len(class_weights)):
            raise UserError(
                f"config.task.class_weights has {len(class_weights)} weights for {classes} classes."
            )

    def init(self, rng, batch):
        variables = super().init(rng, batch)
        if self.class_weights == "balanced":
            ones = jnp.ones((self.model.num_classes,), jnp.float32)
            variables = {**variables, "class_weights": ones}
        return variables

    def fit(self, variables: Variables, batches: Iterable[dict[str, np.ndarray]]) -> Variables:
        """`variables` with balanced class weights, if wanted; else `batches` are left alone.

        But for a model that looks at some images before it learns: it has `start_from`.

        The weight of a class is examples / (classes * examples of the class), over the classes that
        occur (King and Zeng 2001; scikit-learn's "balanced").
        """
        if hasattr(self.model, "start_from"):
            variables = self.model.start_from(variables, self._some(batches))
        if self.class_weights != "balanced":
            return variables
        counts = np.zeros(np.shape(variables["class_weights"]), np.int64)
        for batch in batches:
            counts += np.bincount(batch["label"][batch["valid"]], minlength=len(counts))
        weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
        weights = np.where(counts > 0, weights, 1.0).astype(np.float32)
        return {**variables, "class_weights": weights}

    def _some(self, batches) -> np.ndarray:
        """The model's input of LOOKED_AT training examples, or of all."""
        found, count = [], 0
        for batch in batches:
            found.append(np.asarray(self.inputs(batch)[0])[batch["valid"]])
            if (count := count + len(found[-1])) >= LOOKED_AT:
                break
        return np.concatenate(found)[:LOOKED_AT]

    def loss(self, variables, batch, rng, *, train):
        logits, updates = self.apply(variables, batch, rng, train=train)
        return self.loss_of(logits, updates, variables, batch, train=train)

    def loss_of(self, logits, updates, variables, batch, *, train) -> tuple[Mean, Aux]:
        """The loss of logits that the model has given, with what it changed of its variables."""
        labels = batch["label"]
        smoothing = self.label_smoothing if train else 0.0
        values = self.values(logits, labels, smoothing)
        if "other_label" in batch:
            other = self.values(logits, batch["other_label"], smoothing)
            values = batch["share"] * values + (1 - batch["share"]) * other
        weight = batch["valid"].astype(jnp.float32)
        if self.class_weights == "balanced":
            weight *= variables["class_weights"][labels]
        elif self.class_weights is not None:
            weight *= jnp.asarray(self.class_weights, jnp.float32)[labels]
        correct = logits.argmax(-1) == labels
        return mean(values, weight), Aux({"accuracy": mean(correct, batch["valid"])}, updates)

    def values(self, logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
        """The loss of each example, [batch]."""
        if self.kind == "softmax":
            return losses.softmax_cross_entropy(logits, labels, smoothing)
        if self.kind == "focal":
            return losses.focal(logits, labels, self.gamma, smoothing)
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
        logits = self.logits(variables, batch)
        return {"logits": logits, "probabilities": self.probabilities(logits)}
