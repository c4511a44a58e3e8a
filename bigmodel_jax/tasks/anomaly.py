"""Finding what is odd: what an autoencoder of ordinary images paints badly."""

from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux, Batch, Variables
from bigmodel_jax.tasks import base
from bigmodel_jax.tasks.labelled import normalised


class Task(base.Task):
    """The squared error of the pixels, on a scale of 0 to 1, is the loss and the score.

    For models from images to images. One class of the data plays the anomaly: its images count in no
    loss, so that nothing is learnt of them, and evals/anomaly.py says how well they stand out.

    Args:
        anomaly: that class, a label's number.
        num_classes: filled from the data.
    """

    target, evaluator = "number", "anomaly"

    def __init__(self, model: Any, anomaly: int, num_classes: int | None = None):
        super().__init__(model)
        check_anomaly(anomaly, num_classes)
        self.anomaly = anomaly

    def inputs(self, batch):
        return (normalised(batch["image"], None, None),)

    def loss(self, variables, batch, rng, *, train):
        errors, updates = self._errors(variables, batch, rng, train=train)
        return mean(errors, batch["valid"] & (batch["label"] != self.anomaly)), Aux({}, updates)

    def predict(self, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
        """{"values": [batch]}, float32: how odd each image is."""
        return {"values": self._errors(variables, batch, None, train=False)[0]}

    def _errors(self, variables, batch, rng, *, train):
        painted, updates = self.apply(variables, batch, rng, train=train)
        return jnp.square(painted - self.inputs(batch)[0]).mean((1, 2, 3)), updates


def check_anomaly(anomaly: int, num_classes: int | None) -> None:
    """Raises a UserError for a class that the data have not."""
    if num_classes is not None and not 0 <= anomaly < num_classes:
        raise UserError(
            f"config.task.anomaly is {anomaly}, but the data have the classes 0 to {num_classes - 1}."
        )
