"""A code book: vectors become the nearest of a few, which follow them."""

import flax.linen as nn
import jax
import jax.numpy as jnp

DEAD = 0.03  # of its fair share: a code that stands for less is begun anew


class Codebook(nn.Module):
    """The codes are moving averages of the vectors that they stand for (van den Oord et al. 2017, A.1).

    In training a code that stands for next to nothing is put on a vector of the batch, drawn from the
    stream "dropout" (Dhariwal et al. 2020, Jukebox), as all are at the first step.

    In "codebook", float32: embedding `[codes, dim]`; count `[codes]` and total `[codes, dim]`, averages of
    how many vectors a code stands for and of their sum.

    Attributes:
        decay: the share of the averages that an update keeps.
    """

    codes: int
    decay: float = 0.99

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array | None = None, *, train: bool = False
    ) -> tuple[jax.Array, jax.Array]:
        """(the nearest codes, in x's dtype, whose gradient is handed to x; their numbers int32).

        Args:
            x: `[batch, places, dim]`.
            mask: `[batch]` bool, True = real: the other rows move no code. None is all real.

        Returns:
            `[batch, places, dim]` and `[batch, places]`.
        """
        shape = (self.codes, x.shape[-1])
        scatter = nn.initializers.normal(1.0)
        embedding = self.variable(
            "codebook", "embedding", lambda: scatter(self.make_rng("params"), shape)
        )
        count = self.variable("codebook", "count", jnp.zeros, (self.codes,), jnp.float32)
        total = self.variable("codebook", "total", jnp.zeros, shape, jnp.float32)
        table, rows = embedding.value, jax.lax.stop_gradient(x.astype(jnp.float32))
        distances = jnp.square(table).sum(-1) - 2 * jnp.einsum("bpd,cd->bpc", rows, table)
        index = distances.argmin(-1).astype(jnp.int32)
        if train and not self.is_initializing():
            real = jnp.ones(len(x), bool) if mask is None else mask
            chosen = jax.nn.one_hot(index, self.codes) * real[:, None, None].astype(jnp.float32)
            new = self._moved(count.value, total.value, rows, chosen, real)
            embedding.value, count.value, total.value = new
        found = table[index].astype(x.dtype)
        return x + jax.lax.stop_gradient(found - x), index

    def _moved(self, count, total, rows, chosen, real):
        """(embedding, count, total) after a batch of rows, of which `chosen` says the codes."""
        count = self.decay * count + (1 - self.decay) * chosen.sum((0, 1))
        sums = jnp.einsum("bpc,bpd->cd", chosen, rows)
        total = self.decay * total + (1 - self.decay) * sums
        fair = real.sum().astype(jnp.float32) * (rows.shape[1] / self.codes)
        dead = count < DEAD * fair
        flat = rows.reshape(-1, rows.shape[-1])
        odds = jnp.where(jnp.repeat(real, rows.shape[1]), 0.0, -jnp.inf)
        drawn = jax.random.categorical(self.make_rng("dropout"), odds, shape=(self.codes,))
        count = jnp.where(dead, fair, count)
        total = jnp.where(dead[:, None], fair * flat[drawn], total)
        return total / jnp.maximum(count, 1e-6)[:, None], count, total

    def look_up(self, index: jax.Array) -> jax.Array:
        """The codes of numbers `[...]` int32, `[..., dim]` float32."""
        return self.get_variable("codebook", "embedding")[index]
