"""Covers a square of each image (DeVries and Taylor 2017)."""

import jax
import jax.numpy as jnp


class Transform:
    """Of "image" [batch, height, width, channels].

    Args:
        size: of the square, in pixels; its middle lies anywhere in the image, so that some of it may
            lie outside.
        fill: what it holds, 0 to 255.
    """

    def __init__(self, size: int, fill: int = 127):
        self.size, self.fill = size, fill

    def __call__(self, batch, rng):
        image = batch["image"]
        count, height, width, _ = image.shape
        middle = jax.random.uniform(rng, (count, 2)) * jnp.array([height, width])
        start = jnp.floor(middle).astype(jnp.int32) - self.size // 2
        inside = [
            (jnp.arange(length) >= start[:, axis, None])
            & (jnp.arange(length) < start[:, axis, None] + self.size)
            for axis, length in enumerate((height, width))
        ]
        covered = inside[0][:, :, None, None] & inside[1][:, None, :, None]
        return {**batch, "image": jnp.where(covered, jnp.asarray(self.fill, image.dtype), image)}
