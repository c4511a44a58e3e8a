"""Mirrors some images, left to right."""

import jax
import jax.numpy as jnp


class Transform:
    """Of "image" [batch, height, width, channels].

    Args:
        probability: of a mirrored image.
    """

    def __init__(self, probability: float = 0.5):
        self.probability = probability

    def __call__(self, batch, rng):
        image = batch["image"]
        mirrored = jax.random.bernoulli(rng, self.probability, (len(image), 1, 1, 1))
        return {**batch, "image": jnp.where(mirrored, image[:, :, ::-1], image)}
