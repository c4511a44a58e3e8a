"""From noise to an image, in equal steps of time: one sampler, of which the known ones are cases."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bigmodel_jax.diffusion.paths import Prediction, posterior_variance


def sample(
    predict: Callable[[jax.Array, jax.Array], jax.Array],
    prediction: Prediction,
    noise: jax.Array,
    steps: int,
    eta: float = 0.0,
    rng: jax.Array | None = None,
    bound: float | None = 1.0,
) -> jax.Array:
    """x, of the shape of `noise`.

    Each step splits z into x and e and mixes them anew for an earlier time (Song et al. 2021, eq. 12).
    Without fresh noise, eta = 0, that is DDIM, and along a straight path Euler's method for the flow's
    equation; with the variance of the posterior, eta = 1, it is DDPM.

    Args:
        predict: (z, time []) -> what the network says of z.
        noise: `[images, ...]`, of the standard normal distribution.
        eta: share of the posterior's standard deviation that is drawn.
        rng: of what is drawn; needed where eta is not 0.
        bound: x is kept within -bound and bound; None is no bound.
    """
    times = jnp.linspace(1.0, 0.0, steps + 1)

    def move(z, inputs):
        number, time, earlier = inputs
        now, then = prediction.path(time), prediction.path(earlier)
        x, e = prediction.split(z, predict(z, time), *now)
        if bound is not None:
            x = jnp.clip(x, -bound, bound)
            e = (z - now[0] * x) / now[1]
        variance = eta**2 * posterior_variance(now, then)
        z = then[0] * x + jnp.sqrt(jnp.maximum(then[1] ** 2 - variance, 0.0)) * e
        if eta and rng is not None:
            drawn = jax.random.normal(jax.random.fold_in(rng, number), z.shape)
            z += jnp.sqrt(variance) * drawn
        return z, None

    inputs = jnp.arange(steps), times[:-1], times[1:]
    return jax.lax.scan(move, noise, inputs)[0]
