"""Choosing the next token from logits.

The order is that of Hugging Face: the repetition penalty, the temperature, top-k, top-p, min-p.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bigmodel_jax.errors import UserError


class Sampling(NamedTuple):
    """How the next token is drawn.

    Attributes:
        temperature: of the softmax; 0 takes the likeliest token.
        top_k: draw from that many of the likeliest only; 0 is all.
        top_p: draw from the likeliest that together have this probability (Holtzman et al. 2020).
        min_p: draw from those that have at least this share of the likeliest one's probability
            (Nguyen et al. 2024).
        repetition_penalty: divides positive logits of tokens that were there before, multiplies
            negative ones (Keskar et al. 2019).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def check(self) -> "Sampling":
        """Itself, if its values mean something; raises a UserError otherwise."""
        rules = {
            "temperature": (self.temperature >= 0, "0 or more"),
            "top_k": (self.top_k >= 0, "a number of tokens, or 0 for all"),
            "top_p": (0 < self.top_p <= 1, "above 0, up to 1"),
            "min_p": (0 <= self.min_p <= 1, "from 0 to 1"),
            "repetition_penalty": (self.repetition_penalty > 0, "above 0; 1 is none"),
        }
        for name, (right, what) in rules.items():
            if not right:
                raise UserError(f"--{name} is {getattr(self, name)}, but it must be {what}.")
        return self


def adjust(logits: jax.Array, seen: jax.Array, how: Sampling) -> jax.Array:
    """The logits that are drawn from, float32 `[rows, vocabulary]`; what is ruled out is -inf.

    Args:
        logits: `[rows, vocabulary]`.
        seen: bool, the same shape: the token is in the row's text already.
    """
    logits = logits.astype(jnp.float32)
    if how.repetition_penalty != 1.0:
        punished = jnp.where(
            logits > 0, logits / how.repetition_penalty, logits * how.repetition_penalty
        )
        logits = jnp.where(seen, punished, logits)
    if how.temperature == 0:
        return logits
    logits /= how.temperature
    if 0 < how.top_k < logits.shape[-1]:
        least = jax.lax.top_k(logits, how.top_k)[0][:, -1:]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    if how.top_p < 1.0:
        order = jnp.argsort(-logits, -1, stable=True)
        p = jax.nn.softmax(jnp.take_along_axis(logits, order, -1))
        inside = jnp.cumsum(p, -1) - p < how.top_p  # of those before it; so the likeliest always is
        rank = jnp.argsort(order, -1)
        logits = jnp.where(jnp.take_along_axis(inside, rank, -1), logits, -jnp.inf)
    if how.min_p > 0.0:
        p = jax.nn.softmax(logits)
        logits = jnp.where(p < how.min_p * p.max(-1, keepdims=True), -jnp.inf, logits)
    return logits


def draw(logits: jax.Array, seen: jax.Array, keys: jax.Array, how: Sampling) -> jax.Array:
    """Ids `[rows]` int32; each row draws with its own key, so that its neighbours change nothing."""
    logits = adjust(logits, seen, how)
    if how.temperature == 0:
        return logits.argmax(-1).astype(jnp.int32)
    return jax.vmap(jax.random.categorical)(keys, logits).astype(jnp.int32)
