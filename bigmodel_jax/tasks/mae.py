"""Masked autoencoding: pretraining on images without labels (He et al. 2022)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux
from bigmodel_jax.tasks import base
from bigmodel_jax.tasks.labelled import normalised


class Task(base.Task):
    """The squared error of the pixels of hidden patches, each patch brought to mean 0 and variance 1.

    Which patches are hidden is drawn anew for every image and step; an evaluation hides the same ones
    of all images, so that its number depends on nothing else.

    Args:
        mean, std: of each channel of images, see labelled.Task.
    """

    evaluator = "loss"

    def __init__(
        self,
        model: Any,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ):
        super().__init__(model)
        self.mean, self.std = mean, std

    def inputs(self, batch):
        noise = jnp.zeros((len(batch["image"]), self.model.num_patches), jnp.float32)
        return normalised(batch["image"], self.mean, self.std), batch.get("noise", noise)

    def loss(self, variables, batch, rng, *, train):
        rows, patches = len(batch["image"]), self.model.num_patches
        key, rng = jax.random.split(rng)
        if train:
            noise = jax.random.uniform(key, (rows, patches))
        else:
            noise = jnp.tile(jax.random.uniform(jax.random.key(0), (patches,)), (rows, 1))
        batch = {**batch, "noise": noise}
        (painted, hidden), updates = self.apply(variables, batch, rng, train=train)
        true = self._of_images(variables, batch, "targets")
        error = jnp.square(painted - true).mean(-1)
        return mean(error, hidden & batch["valid"][:, None]), Aux({}, updates)

    def features(self, variables, batch) -> jax.Array:
        """What the encoder makes of whole images, [batch, width] float32."""
        return self._of_images(variables, batch, "features").astype(jnp.float32)

    def _of_images(self, variables, batch, method: str) -> jax.Array:
        params = {"params": variables["params"]}
        return self.model.apply(params, self.inputs(batch)[0], method=method)
