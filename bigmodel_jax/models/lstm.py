"""An LSTM text classifier: embedding, one LSTM, the state at the last real token, dense.

The network of many introductions to text classification. Unlike most of those it reads the state
at the end of the text, not at the end of the padding.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.nn.linear import Dense, Embed
from bigmodel_jax.nn.recurrent import LSTM


class Model(nn.Module):
    """Classifies a text by the state after its last token.

    Three rates of dropout, each where it helps on small data: `dropout` on the final state;
    `embed_dropout` on dimensions of the embeddings, the same ones at all positions of a text;
    `word_dropout` on whole words (Gal and Ghahramani 2016 argue for the latter two).
    """

    vocabulary_size: int = None  # pyright: ignore - filled from the data
    num_classes: int = None  # pyright: ignore
    width: int = 256
    hidden: int = 128
    dropout: float = 0.0
    embed_dropout: float = 0.0
    word_dropout: float = 0.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, tokens: jax.Array, mask: jax.Array, *, train: bool = False) -> jax.Array:
        """Logits `[batch, num_classes]` float32 of tokens `[batch, length]`, mask True = real."""
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        drop = functools.partial(nn.Dropout, deterministic=not train)
        embed = Embed(
            self.vocabulary_size,
            self.width,
            embedding_init=nn.initializers.normal(stddev=0.05),
            name="embed",
            **dtypes,
        )
        # Gathered in the recurrence's order: XLA cancels this swap with the layer's own, and nothing
        # is moved.
        x = embed(tokens.T).swapaxes(0, 1)
        x = drop(self.word_dropout, broadcast_dims=(2,))(x)
        x = drop(self.embed_dropout, broadcast_dims=(1,))(x)
        x = sharding.shard(x, "batch", "length", "embed")
        _, h = LSTM(self.hidden, name="lstm", **dtypes)(x, mask)
        h = drop(self.dropout)(h)
        logits = Dense(self.num_classes, axes=("hidden", "classes"), name="head", **dtypes)(h)
        return logits.astype(jnp.float32)


VARIANTS = {
    "article": {"width": 256, "hidden": 128},
    "tiny": {"width": 16, "hidden": 8},
}
