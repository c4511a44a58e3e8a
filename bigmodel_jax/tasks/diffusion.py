"""Images out of noise, taken away step by step: diffusion (Ho et al. 2020) and flow matching."""

from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax.diffusion.paths import PREDICTIONS
from bigmodel_jax.diffusion.sampling import sample
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux
from bigmodel_jax.tasks import generative
from bigmodel_jax.tasks.generative import normal, row_keys
from bigmodel_jax.tasks.labelled import normalised


class Task(generative.Task):
    """The squared error of what is predicted of an image with noise, at a time drawn for each image.

    Args:
        prediction: "epsilon", the noise, or "v", each along the cosine path; or "flow", the velocity along
            a straight one (diffusion/paths.py).
        drop_class: share of training images whose class is not told, for guidance.
        guidance: when painting, what the class adds to the prediction counts so many times (Ho and Salimans
            2021, where it is 1 + w); 1 is the plain prediction.
        sampling_steps: of painting.
        eta: when samples are drawn, the noise of each step; 0 is DDIM or, along a straight path, Euler's
            method, and 1 is DDPM.
    """

    conditional = True

    def __init__(
        self,
        model: Any,
        prediction: str = "v",
        drop_class: float = 0.1,
        guidance: float = 1.0,
        sampling_steps: int = 50,
        eta: float = 0.0,
    ):
        super().__init__(model)
        if prediction not in PREDICTIONS:
            raise UserError(
                f"config.task.prediction is {prediction!r}.{nearest(prediction, PREDICTIONS)}"
            )
        if guidance != 1 and not drop_class:
            raise UserError(
                f"config.task.guidance is {guidance}, which needs a model that knows of images without "
                "their class: let config.task.drop_class be 0.1."
            )
        self.prediction = PREDICTIONS[prediction]
        self.drop_class, self.guidance = drop_class, guidance
        self.sampling_steps, self.eta = sampling_steps, eta

    @property
    def noise_shape(self):
        return self.model.image_size, self.model.image_size, self.model.channels

    def inputs(self, batch):
        image = normalised(batch["image"], (0.5,), (0.5,))
        return batch.get("noisy", image), batch.get("time", image[:, 0, 0, 0]), batch["label"]

    def loss(self, variables, batch, rng, *, train):
        keys = jax.vmap(lambda key: jax.random.split(key, 3))(row_keys(batch, rng, train))
        x, e = self.inputs(batch)[0], normal(keys[:, 0], self.noise_shape)
        time = jax.vmap(jax.random.uniform)(keys[:, 1])
        alpha, sigma = (part[:, None, None, None] for part in self.prediction.path(time))
        label = batch["label"]
        if train:
            hidden = jax.vmap(jax.random.uniform)(keys[:, 2]) < self.drop_class
            label = jnp.where(hidden, self.num_classes, label)
        noisy = {**batch, "noisy": alpha * x + sigma * e, "time": time, "label": label}
        said, updates = self.apply(variables, noisy, rng, train=train)
        errors = jnp.square(said - self.prediction.target(x, e, alpha, sigma)).mean((1, 2, 3))
        return mean(errors, batch["valid"]), Aux({}, updates)

    def paint(self, variables, noise, labels):
        return self._painted(variables, noise, labels, 0.0, None)

    def sample(self, variables, rng, labels):
        first, rng = jax.random.split(rng)
        noise = jax.random.normal(first, (len(labels), *self.noise_shape))
        return self._painted(variables, noise, labels, self.eta, rng)

    def _painted(self, variables, noise, labels, eta, rng):
        def predict(z, time):
            return self._guided(variables, z, jnp.full(len(z), time), labels)

        steps = self.sampling_steps
        return 0.5 * (sample(predict, self.prediction, noise, steps, eta, rng) + 1)

    def _guided(self, variables, z, time, labels):
        """What the model predicts for a class, further away from what it predicts for none."""
        given = {"params": variables["params"]}
        told = self.model.apply(given, z, time, labels)
        if self.guidance == 1:
            return told
        plain = self.model.apply(given, z, time, jnp.full_like(labels, self.num_classes))
        return plain + self.guidance * (told - plain)
