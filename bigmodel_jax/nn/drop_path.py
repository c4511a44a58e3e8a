"""Stochastic depth: a branch that some examples skip in training."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class DropPath(nn.Module):
    """Drops the whole branch of an example, and scales up that of the others (Huang et al. 2016)."""

    @nn.compact
    def __call__(self, x: jax.Array, rate: float | jax.Array, train: bool) -> jax.Array:
        """`[batch, ...]` to the same.

        Args:
            rate: below 1; an array, where it differs between scanned layers.
        """
        if not train or (isinstance(rate, float) and rate == 0.0):
            return x
        shape = (x.shape[0], *[1] * (x.ndim - 1))
        kept = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - rate, shape)
        return jnp.where(kept, x / jnp.asarray(1.0 - rate, x.dtype), jnp.zeros((), x.dtype))


def rates(highest: float, layers: int) -> list[float]:
    """Of each layer: from 0 at the first to the highest at the last, in equal steps."""
    return [highest * i / max(layers - 1, 1) for i in range(layers)]
