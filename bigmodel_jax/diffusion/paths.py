"""The way from an image x to noise e: z = alpha x + sigma e, at a time of 0 (the image) to 1 (noise).

A network sees z and the time and predicts one of several mixtures of x and e, from which both follow.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

OFFSET = 0.008  # of the cosine
SMALLEST = 1e-3  # alpha: from less, e does not tell x


class Prediction(NamedTuple):
    """What is predicted, and along which path.

    Attributes:
        path: time -> (alpha, sigma).
        target: (x, e, alpha, sigma) -> what the network is to say.
        split: (z, what it says, alpha, sigma) -> (x, e).
    """

    path: Callable[[jax.Array], tuple[jax.Array, jax.Array]]
    target: Callable[..., jax.Array]
    split: Callable[..., tuple[jax.Array, jax.Array]]


def cosine(time: jax.Array) -> tuple[jax.Array, jax.Array]:
    """alpha and sigma of Nichol and Dhariwal (2021), whose alpha-bar is alpha^2; alpha^2 + sigma^2 = 1."""

    def angle(time):
        return jnp.cos((time + OFFSET) / (1 + OFFSET) * (jnp.pi / 2))

    alpha = jnp.maximum(angle(time) / angle(0.0), SMALLEST)
    return alpha, jnp.sqrt(jnp.maximum(1 - alpha**2, 0.0))


def straight(time: jax.Array) -> tuple[jax.Array, jax.Array]:
    """1 - time and time: a straight line (Liu et al. 2023; Lipman et al. 2023)."""
    return 1 - time, time


PREDICTIONS = {
    # Ho et al. 2020
    "epsilon": Prediction(
        cosine,
        lambda x, e, alpha, sigma: e,
        lambda z, said, alpha, sigma: ((z - sigma * said) / alpha, said),
    ),
    # Salimans and Ho 2022
    "v": Prediction(
        cosine,
        lambda x, e, alpha, sigma: alpha * e - sigma * x,
        lambda z, said, alpha, sigma: (alpha * z - sigma * said, sigma * z + alpha * said),
    ),
    # Flow matching: the velocity of z along the line.
    "flow": Prediction(
        straight,
        lambda x, e, alpha, sigma: e - x,
        lambda z, said, alpha, sigma: (z - sigma * said, z + alpha * said),
    ),
}


def posterior_variance(now, then) -> jax.Array:
    """Of z at an earlier time, given x and z now (Ho et al. 2020, eq. 7; Kingma et al. 2021, eq. 25).

    Args:
        now, then: (alpha, sigma).
    """
    (alpha, sigma), (alpha_then, sigma_then) = now, then
    ratio = alpha / alpha_then
    return (sigma**2 - ratio**2 * sigma_then**2) * sigma_then**2 / sigma**2
