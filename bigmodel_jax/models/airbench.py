"""A small network for images of 32 x 32 that trains in seconds: airbench's (Jordan 2024).

"94% on CIFAR-10 in 3.29 seconds on a single GPU". Its first layer whitens patches of 2 x 2 pixels;
`nn/whitening.py` makes that layer's kernel from training images, and a config keeps it as it is,
freeze=("whiten/kernel",).
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.nn.activations import gelu
from bigmodel_jax.nn.batch_norm import BatchNorm
from bigmodel_jax.nn.image_convolution import Convolution, max_pool
from bigmodel_jax.nn.linear import Dense
from bigmodel_jax.nn.whitening import whitening_kernel

uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # torch's, of each layer


def identity(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
    """A kernel `[size, size, in, out]` whose first outputs are the inputs, the others random."""
    size, _, inputs, outputs = shape
    kernel = uniform(key, shape, dtype)
    kept = min(inputs, outputs)
    kernel = kernel.at[..., :kept].set(0)
    return kernel.at[size // 2, size // 2, jnp.arange(kept), jnp.arange(kept)].set(1)


class Block(nn.Module):
    """Convolution, windows of 2, norm, GELU; convolution, norm, GELU.

    Parameters: conv_0, norm_0 (a bias alone), conv_1, norm_1.
    """

    features: int
    momentum: float
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None, train: bool) -> jax.Array:
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        for i in range(2):
            x = Convolution(self.features, kernel_init=identity, name=f"conv_{i}", **dtypes)(x)
            x = x if i else max_pool(x, 2, 2)
            norm = BatchNorm(self.momentum, 1e-12, use_scale=False, name=f"norm_{i}", **dtypes)
            x = gelu(norm(x, mask, train=train))
        return sharding.shard(x, "batch", None, None, None)


class Model(nn.Module):
    """From images to classes.

    Parameters: whiten (kernel `[2, 2, channels, 8 * channels]`, bias), block_0, block_1, block_2,
    classifier (a kernel alone).

    Attributes:
        channels: of the images.
        widths: of the blocks.
        momentum: of the running statistics, see BatchNorm.
        logit_scale: of the logits.
    """

    num_classes: int = None  # pyright: ignore - filled from the data
    channels: int = 3
    widths: tuple[int, ...] = (64, 256, 256)
    momentum: float = 0.6
    logit_scale: float = 1 / 9
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        self.whiten = Convolution(
            8 * self.channels, 2, padding=0, use_bias=True, axes=(None, None), **dtypes
        )
        self.blocks = [
            Block(width, self.momentum, name=f"block_{i}", **dtypes)
            for i, width in enumerate(self.widths)
        ]
        self.classifier = Dense(
            self.num_classes,
            use_bias=False,
            axes=("embed", "classes"),
            kernel_init=uniform,
            out_dtype=jnp.float32,
            **dtypes,
        )

    def start_from(self, variables: Mapping[str, Any], image: np.ndarray) -> dict[str, Any]:
        """`variables` with a first layer that whitens patches of `image` (nn/whitening.py).

        Args:
            image: `[images, height, width, channels]`, training images as the model sees them.
        """
        params = variables["params"]
        old = params["whiten"]["kernel"]
        kernel = whitening_kernel(image).astype(old.dtype)
        return {**variables, "params": {**params, "whiten": {**params["whiten"], "kernel": kernel}}}

    def __call__(
        self, image: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> jax.Array:
        """Logits `[batch, num_classes]` float32.

        Args:
            image: `[batch, height, width, channels]`, floats, of 17 pixels or more.
            mask: `[batch]` bool, True = real: which rows count in the statistics of the batch.
        """
        return self.from_feature_map(self.feature_map(image, train=train, mask=mask))

    def features(
        self, image: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> jax.Array:
        """What the classifier sees, `[batch, widths[-1]]` in `dtype`."""
        return self.feature_map(image, train=train, mask=mask).max((1, 2))

    def feature_map(
        self, image: jax.Array, *, train: bool = False, mask: jax.Array | None = None
    ) -> jax.Array:
        """The last map, `[batch, height, width, widths[-1]]` in `dtype`."""
        x = gelu(self.whiten(image.astype(self.dtype)))
        for block in self.blocks:
            x = block(x, mask, train)
        return x

    def from_feature_map(self, x: jax.Array) -> jax.Array:
        """The logits of a last map, for Grad-CAM: `[batch, num_classes]` float32."""
        return self.logit_scale * self.classifier(x.max((1, 2)))


VARIANTS = {
    "airbench94": {},
    "small": {"widths": (32, 64, 64)},
    "tiny": {"widths": (8, 8, 8)},
}
