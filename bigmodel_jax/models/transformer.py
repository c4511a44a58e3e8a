"""A transformer text classifier, trained from scratch: embedding, encoder, pooling, dense."""

import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.nn.disturb import disturb
from bigmodel_jax.nn.linear import Dense, Embed
from bigmodel_jax.nn.mlp import MLP
from bigmodel_jax.nn.norm import LayerNorm
from bigmodel_jax.nn.pooling import Pool
from bigmodel_jax.nn.positions import sinusoids
from bigmodel_jax.nn.self_attention import SelfAttention
from bigmodel_jax.nn.transformer import Block, Stack


class Model(nn.Module):
    """Classifies a text by what its tokens have made of each other.

    Positions are sinusoids: there is no longest text, and nothing to learn for rare lengths.

    Attributes:
        width: of the embeddings and of all that follows; a multiple of num_heads.
        mlp_ratio: the MLP's hidden size over the width.
        pooling: of the encoder's outputs (nn/pooling.py).
        dropout: on what each half of a block adds, and on what the head sees.
        embed_dropout: on dimensions of the embeddings, the same ones at all positions of a text.
        word_dropout: on whole words.
    """

    vocabulary_size: int = None  # pyright: ignore - filled from the data
    num_classes: int = None  # pyright: ignore
    width: int = 128
    num_layers: int = 2
    num_heads: int = 4
    mlp_ratio: int = 4
    pooling: Literal["mean", "max", "attention"] = "mean"
    dropout: float = 0.0
    embed_dropout: float = 0.0
    word_dropout: float = 0.0
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
        init = nn.initializers.normal(stddev=self.width**-0.5)
        x = Embed(self.vocabulary_size, self.width, init, name="embed", **dtypes)(tokens)
        x *= jnp.asarray(self.width**0.5, x.dtype)  # as large as the positions
        rates = {"word_dropout": self.word_dropout, "embed_dropout": self.embed_dropout}
        x = disturb(x, presence, train=train, **rates)
        x += jnp.asarray(sinusoids(tokens.shape[1], self.width), x.dtype)
        # Nobody looks at padding, but a NaN times a weight of 0 is NaN.
        x = jnp.where(mask[..., None], x, jnp.zeros((), x.dtype))
        x = sharding.shard(x, "batch", "length", "embed")

        norm = functools.partial(LayerNorm, **dtypes)
        block = functools.partial(
            Block,
            attention=functools.partial(SelfAttention, self.num_heads, **dtypes),
            mlp=functools.partial(MLP, self.mlp_ratio * self.width, **dtypes),
            norm=norm,
            dropout=self.dropout,
        )
        encoder = Stack(self.num_layers, block, norm, name="encoder")
        x, _ = encoder(x, mask=mask[:, None, None, :], train=train)
        x = drop(self.dropout)(Pool(self.pooling, name="pool", **dtypes)(x, mask))
        head = Dense(self.num_classes, axes=("embed", "classes"), name="head", **dtypes)
        return head(x).astype(jnp.float32)


VARIANTS = {
    "small": {"width": 128, "num_layers": 2, "num_heads": 4},
    "base": {"width": 256, "num_layers": 4, "num_heads": 8},
    "tiny": {"width": 16, "num_layers": 1, "num_heads": 2, "mlp_ratio": 2},
}
