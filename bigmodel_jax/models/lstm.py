"""A recurrent text classifier: embedding, LSTM layers, pooling, dense.

With one layer read at its end it is the network of many introductions to text classification;
unlike most of those it reads the state at the end of the text, not at the end of the padding.
"""

import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax.nn.disturb import disturb
from bigmodel_jax.nn.linear import Dense, Embed
from bigmodel_jax.nn.pooling import Pool
from bigmodel_jax.nn.recurrent import LSTM, BidirectionalLSTM


class Model(nn.Module):
    """Classifies a text by what a stack of LSTMs makes of it.

    Parameters: embed, lstm (lstm_0, lstm_1, ... where there are several layers; lstm/forward and
    lstm/backward where there are two directions), pool if pooling is "attention", head.

    Attributes:
        width: of the embeddings.
        hidden: of the state, in each direction.
        pooling: "last", the state after the last token (and, backwards, after the first); or "mean",
            "max" or "attention" over the outputs at all tokens (nn/pooling.py).
        dropout: on what the head sees.
        embed_dropout: on dimensions of the embeddings, the same ones at all positions of a text
            (as Gal and Ghahramani 2016 argue, who do so between layers too).
        word_dropout: on whole words.
        layer_dropout: between layers, on the same units at all positions of a text.
    """

    vocabulary_size: int = None  # pyright: ignore - filled from the data
    num_classes: int = None  # pyright: ignore
    width: int = 256
    hidden: int = 128
    layers: int = 1
    bidirectional: bool = False
    pooling: Literal["last", "mean", "max", "attention"] = "last"
    dropout: float = 0.0
    embed_dropout: float = 0.0
    word_dropout: float = 0.0
    layer_dropout: float = 0.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        tokens: jax.Array,
        mask: jax.Array,
        *,
        train: bool = False,
        presence: jax.Array | None = None,
    ) -> jax.Array:
        """Logits `[batch, num_classes]` float32 of a text.

        Args:
            tokens: `[batch, length]` int32.
            mask: `[batch, length]` bool, True = real.
            presence: `[batch, length]` float32, a factor of each token's embedding, for
                explanations; None is 1 everywhere.
        """
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
        rates = {"word_dropout": self.word_dropout, "embed_dropout": self.embed_dropout}
        x = disturb(x, presence, train=train, **rates)

        layer = BidirectionalLSTM if self.bidirectional else LSTM
        last = None
        for i in range(self.layers):
            if i:
                x = drop(self.layer_dropout, broadcast_dims=(1,))(x)
            name = f"lstm_{i}" if self.layers > 1 else "lstm"
            x, last = layer(self.hidden, name=name, **dtypes)(x, mask)
        if self.pooling == "last":
            x = last
        else:
            x = Pool(self.pooling, name="pool", **dtypes)(x, mask)
        x = drop(self.dropout)(x)
        logits = Dense(self.num_classes, axes=("hidden", "classes"), name="head", **dtypes)(x)
        return logits.astype(jnp.float32)


VARIANTS = {
    "article": {"width": 256, "hidden": 128},
    "bilstm": {"width": 100, "hidden": 256, "bidirectional": True},
    "tiny": {"width": 16, "hidden": 8},
}
