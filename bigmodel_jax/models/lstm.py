"""An LSTM text classifier: embedding, one LSTM, the state at the last real token, dense.

The network of many introductions to text classification. Unlike most of those it reads the state
at the end of the text, not at the end of the padding.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.nn.linear import Dense, Embed
from bigmodel_jax.nn.recurrent import LSTM


class Model(nn.Module):
    """Classifies a text by the state after its last token.

    Dropout zeroes single elements of the embeddings and of the final state.
    """

    vocabulary_size: int | None = None
    num_classes: int | None = None
    width: int = 256
    hidden: int = 128
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, tokens: jax.Array, mask: jax.Array, *, train: bool = False) -> jax.Array:
        """Logits `[batch, num_classes]` float32 of tokens `[batch, length]`, mask True = real."""
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        dropout = nn.Dropout(self.dropout, deterministic=not train)
        x = Embed(self.vocabulary_size, self.width, name="embed", **dtypes)(tokens)
        x = sharding.shard(dropout(x), "batch", "length", "embed")
        _, h = LSTM(self.hidden, name="lstm", **dtypes)(x, mask)
        logits = Dense(self.num_classes, axes=("hidden", "classes"), name="head", **dtypes)(
            dropout(h)
        )
        return logits.astype(jnp.float32)


VARIANTS = {
    "article": {"width": 256, "hidden": 128},
    "tiny": {"width": 16, "hidden": 8},
}
