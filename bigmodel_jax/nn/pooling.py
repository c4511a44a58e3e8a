"""From a vector for each token to one for the text."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax.nn.linear import Dense


class Pool(nn.Module):
    """Pools over the real tokens of each row; a row without any gives zeros.

    Padding may hold anything, even NaN: neither the result nor a gradient sees it.

    Attributes:
        kind: "first" or "last", that token alone; "mean"; "max", of each dimension; or "attention",
            a mean weighted by what the tokens say of themselves, softmax(w . tanh(W x + b)) (Lin et
            al. 2017, "A Structured Self-Attentive Sentence Embedding", with one hop; Yang et al.
            2016). Parameters of the last: hidden/kernel `[dim, dim]`, hidden/bias `[dim]`,
            score/kernel `[dim, 1]`.
        dtype: of the operands of attention's products. Sums and the softmax are float32.
    """

    kind: Literal["first", "last", "mean", "max", "attention"]
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """`[batch, length, dim]` and mask `[batch, length]`, True = real: `[batch, dim]` float32."""
        real = mask[..., None]
        # A product with 0 would let a NaN through, here or in a gradient.
        x = jnp.where(real, x.astype(jnp.float32), 0.0)
        if self.kind in ("first", "last"):
            number = jnp.cumsum(mask, axis=1)
            if self.kind == "last":
                number += 1 - number[:, -1:]
            return jnp.where(real & (number == 1)[..., None], x, 0.0).sum(1)
        if self.kind == "max":
            lowest = jnp.finfo(jnp.float32).min
            return jnp.where(real.any(1), jnp.where(real, x, lowest).max(1), 0.0)
        if self.kind == "attention":
            weights = self._weights(x, mask)
        else:
            weights = jnp.asarray(mask, jnp.float32)
            weights /= jnp.maximum(weights.sum(1, keepdims=True), 1.0)
        return (weights[..., None] * x).sum(1)

    def _weights(self, x, mask):
        """`[batch, length]` float32: not negative, 0 at padding, of sum 1 in each row."""
        hidden = Dense(
            x.shape[-1],
            axes=("embed", "hidden"),
            name="hidden",
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )
        score = Dense(
            1,
            use_bias=False,
            axes=("hidden", None),
            name="score",
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )
        scores = score(jnp.tanh(hidden(x)))[..., 0].astype(jnp.float32)
        # The lowest number, not -inf: a row without tokens would be NaN before it is zero.
        scores = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
        return jnp.where(mask, jax.nn.softmax(scores, axis=1), 0.0)
