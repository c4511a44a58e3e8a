"""Variational autoencoding: images that a few normal numbers explain (Kingma and Welling 2014)."""

from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax.losses import sigmoid_cross_entropy
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux, Batch, Variables
from bigmodel_jax.tasks import generative
from bigmodel_jax.tasks.anomaly import check_anomaly
from bigmodel_jax.tasks.generative import normal, row_keys
from bigmodel_jax.tasks.labelled import normalised


class Task(generative.Task):
    """The negative evidence lower bound, in nats an image, is the loss.

    A pixel of 0 to 1 is taken for the chance of an ink drop (a Bernoulli distribution), and the
    expectation over what stands for the image is one draw.

    Args:
        anomaly: a label that counts in no loss, to be found as tasks/anomaly.py finds it, by the bound at
            the mean of what may stand for an image; None is no such label.
        num_classes: filled from the data.
    """

    target, evaluator = "number", "elbo"

    def __init__(self, model: Any, anomaly: int | None = None, num_classes: int | None = None):
        super().__init__(model)
        if anomaly is not None:
            check_anomaly(anomaly, num_classes)
        self.anomaly = anomaly

    @property
    def noise_shape(self):
        return (self.model.latent,)

    def inputs(self, batch):
        noise = jnp.zeros((len(batch["image"]), self.model.latent), jnp.float32)
        return normalised(batch["image"], None, None), batch.get("noise", noise)

    def loss(self, variables, batch, rng, *, train):
        noise = normal(row_keys(batch, rng, train), self.noise_shape)
        (logits, *latent), updates = self.apply(
            variables, {**batch, "noise": noise}, rng, train=train
        )
        image, counted = self.inputs(batch)[0], batch["valid"]
        if self.anomaly is not None:
            counted &= batch["label"] != self.anomaly
        nats, divergence = _bound(image, logits, *latent)
        errors = jnp.square(jax.nn.sigmoid(logits) - image).mean((1, 2, 3))
        metrics = {"divergence": mean(divergence, counted), "error": mean(errors, counted)}
        return mean(nats + divergence, counted), Aux(metrics, updates)

    def predict(self, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
        """{"values": [batch]}, float32: how odd each image is."""
        (logits, *latent), _ = self.apply(variables, batch, None, train=False)
        nats, code = _bound(self.inputs(batch)[0], logits, *latent)
        return {"values": nats + code}

    def reconstruct(self, variables: Variables, batch: Batch) -> jax.Array:
        """What the model makes of the mean of what may stand for each image; as `paint`."""
        return jax.nn.sigmoid(self.apply(variables, batch, None, train=False)[0][0])

    def paint(self, variables, noise, labels):
        params = {"params": variables["params"]}
        return jax.nn.sigmoid(self.model.apply(params, noise, method="decode"))


def _bound(image, logits, mean, log_variance) -> tuple[jax.Array, jax.Array]:
    """(nats of the pixels, the divergence from the standard normal distribution), [batch] each."""
    nats = sigmoid_cross_entropy(logits, image).sum((1, 2, 3))
    return nats, divergence(mean, log_variance)


def divergence(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """Kullback and Leibler's, of independent normals from standard ones, over the last axis, in nats."""
    return 0.5 * (jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance).sum(-1)
