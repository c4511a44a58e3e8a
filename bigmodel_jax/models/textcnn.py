"""A convolutional text classifier: windows of several sizes, the maximum over time, dense.

Kim 2014, "Convolutional Neural Networks for Sentence Classification", with embeddings learnt from
scratch unless the config names word vectors.
"""

import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.nn.convolution import convolved_maximum, windows
from bigmodel_jax.nn.disturb import disturb
from bigmodel_jax.nn.linear import Dense, Embed, matmul
from bigmodel_jax.nn.pooling import Pool


class Model(nn.Module):
    """Classifies a text by which of its phrases look most like those that matter.

    Attributes:
        width: of the embeddings.
        features: for each window size.
        sizes: of the windows, in tokens.
        pooling: over time: "max", "mean" or "attention".
        dropout: on the pooled features; embed_dropout on dimensions of the embeddings, the same
            ones at all positions of a text; word_dropout on whole words.
    """

    vocabulary_size: int = None  # pyright: ignore - filled from the data
    num_classes: int = None  # pyright: ignore
    width: int = 128
    features: int = 128
    sizes: tuple[int, ...] = (3, 4, 5)
    pooling: Literal["max", "mean", "attention"] = "max"
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
        """Logits `[batch, num_classes]` float32 of tokens `[batch, length]`, mask True = real."""
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        drop = functools.partial(nn.Dropout, deterministic=not train)
        init = nn.initializers.normal(stddev=0.05)
        embed = Embed(self.vocabulary_size, self.width, init, name="embed", **dtypes)
        x = jnp.where(mask[..., None], embed(tokens), 0)
        rates = {"word_dropout": self.word_dropout, "embed_dropout": self.embed_dropout}
        x = disturb(x, presence, train=train, **rates)
        pooled = []
        for size in self.sizes:
            shape = (size * self.width, self.features)
            kernel_init = sharding.axes(nn.initializers.lecun_normal(), "embed", "mlp")
            kernel = self.param(f"kernel_{size}", kernel_init, shape, self.param_dtype)
            zeros = sharding.axes(nn.initializers.zeros, "mlp")
            bias = self.param(f"bias_{size}", zeros, (self.features,), self.param_dtype)
            kernel, bias = kernel.astype(self.dtype), bias.astype(jnp.float32)
            if self.pooling == "max":  # the maximum of relu(y + b) is relu(max(y) + b)
                pooled.append(nn.relu(convolved_maximum(x, kernel, mask, size) + bias))
            else:
                y = nn.relu(matmul(windows(x, size), kernel) + bias)
                pooled.append(Pool(self.pooling, name=f"pool_{size}")(y, mask))
        h = drop(self.dropout)(jnp.concatenate(pooled, axis=-1).astype(self.dtype))
        logits = Dense(self.num_classes, axes=("mlp", "classes"), name="head", **dtypes)(h)
        return logits.astype(jnp.float32)


VARIANTS = {
    "kim": {"width": 300, "features": 100, "dropout": 0.5},
    "tiny": {"width": 8, "features": 4, "sizes": (2, 3)},
}
