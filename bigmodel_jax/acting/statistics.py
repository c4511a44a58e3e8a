"""Mean and variance of all observations so far, by which they are brought to one scale."""

import jax
import jax.numpy as jnp

LARGEST = 10.0  # in standard deviations
SMALL = 1e-8  # a variance below which nothing is divided


def none(shape: tuple[int, ...]) -> dict[str, jax.Array]:
    """{"mean", "variance" `shape`, "count"} of no observation yet: they change nothing."""
    return {"mean": jnp.zeros(shape), "variance": jnp.ones(shape), "count": jnp.zeros(())}


def merge(old: dict[str, jax.Array], observations: jax.Array) -> dict[str, jax.Array]:
    """The statistics with [..., *shape] more observations (Chan et al. 1979)."""
    rows = observations.reshape(-1, *old["mean"].shape)
    count, mean, variance = len(rows), rows.mean(0), rows.var(0)
    total = old["count"] + count
    delta = mean - old["mean"]
    squares = old["variance"] * old["count"] + variance * count
    squares += delta**2 * old["count"] * count / total
    return {
        "mean": old["mean"] + delta * count / total,
        "variance": squares / total,
        "count": total,
    }


def normalise(statistics: dict[str, jax.Array], observations: jax.Array) -> jax.Array:
    """Observations in standard deviations from the mean, LARGEST at most."""
    spread = jnp.sqrt(statistics["variance"] + SMALL)
    return jnp.clip((observations - statistics["mean"]) / spread, -LARGEST, LARGEST)
