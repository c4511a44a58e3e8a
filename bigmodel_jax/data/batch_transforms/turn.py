"""Turns images about their middles, and enlarges or shrinks them."""

import functools

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from bigmodel_jax.errors import UserError


class Transform:
    """Of "image" [batch, height, width, channels]; what comes in from outside is 0.

    The image becomes float32: its pixels lie between those that there were (bilinear).

    Args:
        degrees: the most, to either side.
        zoom: the most that a side grows or shrinks, as a share of it.
    """

    def __init__(self, degrees: float, zoom: float = 0.0):
        if degrees < 0 or not 0 <= zoom < 1:
            raise UserError(f"turn takes degrees of 0 up and a zoom below 1: {degrees}, {zoom}.")
        self.degrees, self.zoom = degrees, zoom

    def __call__(self, batch, rng):
        image = batch["image"].astype(jnp.float32)
        keys, count = jax.random.split(rng), (len(image),)
        angle = jnp.deg2rad(self.degrees) * jax.random.uniform(keys[0], count, minval=-1)
        size = 1 + self.zoom * jax.random.uniform(keys[1], count, minval=-1)
        return {**batch, "image": jax.vmap(turn)(image, angle, size)}


def turn(image: jax.Array, angle: jax.Array, size: jax.Array) -> jax.Array:
    """One image [height, width, channels] by `angle` (radians, counterclockwise), `size` times as large."""
    height, width, _ = image.shape
    middle = jnp.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    places = jnp.mgrid[:height, :width] - middle
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    back = jnp.array([[cosine, sine], [-sine, cosine]]) / size  # from where each pixel comes
    coordinates = list(jnp.einsum("ij,jhw->ihw", back, places) + middle)
    sample = functools.partial(map_coordinates, order=1, mode="constant")
    return jax.vmap(sample, (-1, None), -1)(image, coordinates)
