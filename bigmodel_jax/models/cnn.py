"""Plain convolutional networks: LeNet-5, AlexNet, and small ones with batch normalisation."""

import functools
from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.nn import activations
from bigmodel_jax.nn.batch_norm import BatchNorm
from bigmodel_jax.nn.image_convolution import Convolution, max_pool, mean_pool
from bigmodel_jax.nn.linear import Dense


class Block(nn.Module):
    """Convolutions, each with its norm and activation, then windows of which one value is left.

    Parameters: conv_0, norm_0 (of batch normalisation; then conv_0 has no bias), conv_1, ...

    Attributes:
        features, size, stride, padding: of the convolutions (nn/image_convolution.py); the first
            alone has the stride.
        convolutions: how many.
        pool, pool_stride: of the windows; 1 is no pooling, and None a stride as large as the window.
    """

    features: int
    size: int = 3
    stride: int = 1
    padding: int | None = None
    convolutions: int = 1
    pool: int = 1
    pool_stride: int | None = None
    activation: activations.Name = "relu"
    batch_norm: bool = True
    pooling: Literal["max", "mean"] = "max"
    first: bool = False
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None, train: bool) -> jax.Array:
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        for i in range(self.convolutions):
            x = Convolution(
                self.features,
                self.size,
                1 if i else self.stride,
                self.padding,
                use_bias=not self.batch_norm,
                axes=(None if self.first and not i else "embed", "mlp"),
                name=f"conv_{i}",
                **dtypes,
            )(x)
            if self.batch_norm:
                x = BatchNorm(name=f"norm_{i}", **dtypes)(x, mask, train=train)
            x = activations.activation(self.activation)(x)
        if self.pool > 1:
            pool = max_pool if self.pooling == "max" else mean_pool
            x = pool(x, self.pool, self.pool_stride or self.pool)
        return sharding.shard(x, "batch", None, None, None)


class Model(nn.Module):
    """From images to classes, by blocks of convolutions and some dense layers.

    Parameters: block_0, block_1, ... (see Block), hidden_0, hidden_1, ..., classifier.

    Attributes:
        stages: of each block its features and what of it differs from a Block's defaults:
            (dict(features=32, convolutions=2, pool=2), ...).
        hidden: sizes of dense layers before the classifier.
        activation: behind each convolution and each hidden layer (nn/activations.py).
        batch_norm: behind each convolution.
        pooling: of the windows.
        head: what the dense layers see of the last map: "flat", all of it, so that a network is for
            images of one size; or the "mean" or "max" over its places.
        dropout: on the outputs of the hidden layers (Krizhevsky et al. 2012), or, without any, on
            what the classifier sees.
    """

    num_classes: int = None  # pyright: ignore - filled from the data
    stages: tuple[Mapping[str, Any], ...] = (
        {"features": 32, "convolutions": 2, "pool": 2},
        {"features": 64, "convolutions": 2, "pool": 2},
    )
    hidden: tuple[int, ...] = ()
    activation: activations.Name = "relu"
    batch_norm: bool = True
    pooling: Literal["max", "mean"] = "max"
    head: Literal["flat", "mean", "max"] = "flat"
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        for field, known in (("pooling", ("max", "mean")), ("head", ("flat", "mean", "max"))):
            if (value := getattr(self, field)) not in known:
                raise UserError(f"model.{field} is {value!r}.{nearest(value, known)}")
        for key in {key for stage in self.stages for key in stage}:
            if key not in STAGE:
                raise UserError(
                    f"A stage of model.stages has the key {key!r}.{nearest(key, STAGE)}"
                )
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        self.activate = activations.activation(self.activation)
        block = functools.partial(
            Block,
            activation=self.activation,
            batch_norm=self.batch_norm,
            pooling=self.pooling,
            **dtypes,
        )
        self.blocks = [
            block(first=not i, name=f"block_{i}", **stage) for i, stage in enumerate(self.stages)
        ]
        flat = self.head == "flat"  # then the first dense layer has an odd number of inputs
        self.layers = [
            Dense(
                size,
                axes=(None if flat and not i else "embed", "mlp"),
                name=f"hidden_{i}",
                **dtypes,
            )
            for i, size in enumerate(self.hidden)
        ]
        self.drop = nn.Dropout(self.dropout)
        axes = (None if flat and not self.hidden else "embed", "classes")
        self.classifier = Dense(self.num_classes, axes=axes, out_dtype=jnp.float32, **dtypes)

    def __call__(
        self, image: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> jax.Array:
        """Logits `[batch, num_classes]` float32.

        Args:
            image: `[batch, height, width, channels]`, floats.
            mask: `[batch]` bool, True = real: which rows count in the statistics of the batch.
        """
        return self.classifier(self.features(image, train=train, mask=mask))

    def features(
        self, image: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> jax.Array:
        """What the classifier sees, `[batch, width]` in `dtype`."""
        return self._dense(self.feature_map(image, train=train, mask=mask), train)

    def feature_map(
        self, image: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> jax.Array:
        """The last map, `[batch, height, width, channels]` in `dtype`."""
        x = image.astype(self.dtype)
        for block in self.blocks:
            x = block(x, mask, train)
        return x

    def from_feature_map(self, x: jax.Array) -> jax.Array:
        """The logits of a last map, for Grad-CAM: `[batch, num_classes]` float32."""
        return self.classifier(self._dense(x, train=False))

    def _dense(self, x, train):
        if self.head == "flat":
            x = x.reshape(x.shape[0], -1)
        elif self.head == "max":
            x = x.max((1, 2))
        else:
            x = x.astype(jnp.float32).mean((1, 2)).astype(self.dtype)
        for layer in self.layers:
            x = self.drop(self.activate(layer(x)), deterministic=not train)
        return x if self.hidden else self.drop(x, deterministic=not train)


STAGE = ("features", "size", "stride", "padding", "convolutions", "pool", "pool_stride")

VARIANTS = {
    # LeCun et al. 1998 as it is written today: no gaps between maps, a plain classifier.
    "lenet-5": {
        "stages": (
            {"features": 6, "size": 5, "pool": 2},
            {"features": 16, "size": 5, "padding": 0, "pool": 2},
        ),
        "hidden": (120, 84),
        "activation": "tanh",
        "batch_norm": False,
        "pooling": "mean",
    },
    # Krizhevsky 2014, "One weird trick": one column, for images of 224.
    "alexnet": {
        "stages": (
            {"features": 64, "size": 11, "stride": 4, "padding": 2, "pool": 3, "pool_stride": 2},
            {"features": 192, "size": 5, "pool": 3, "pool_stride": 2},
            {"features": 384},
            {"features": 256},
            {"features": 256, "pool": 3, "pool_stride": 2},
        ),
        "hidden": (4096, 4096),
        "batch_norm": False,
        "dropout": 0.5,
    },
    "small": {"dropout": 0.3},
    "tiny": {"stages": ({"features": 8, "pool": 2}, {"features": 8, "pool": 2}), "head": "mean"},
}
