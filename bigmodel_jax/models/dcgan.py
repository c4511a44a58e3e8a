"""A generator of images and a discriminator, both of convolutions, both told the class.

Radford et al. 2016 (DCGAN), with what was found since: the discriminator weighs an image against its class
by a product (Miyato and Koyama 2018) and has no norm, as a penalty of its gradient wants it. Maps grow by
repeating pixels (Odena et al. 2016), which leaves no chequered pattern, and shrink by making four places one
of four times the channels: transposed convolutions, of which strided ones have the gradient, take five times
as long on a CPU.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax.errors import UserError
from bigmodel_jax.nn.batch_norm import BatchNorm
from bigmodel_jax.nn.image_convolution import Convolution, from_depth, to_depth
from bigmodel_jax.nn.linear import Dense, Embed

SLOPE = 0.2  # of the discriminator's activations, where they are negative


class Generator(nn.Module):
    """`generate` of Model. Parameters: classes, start, norm_0, conv_1, norm_1, ..., pixels."""

    shape: tuple[int, int, int]
    num_classes: int
    latent: int
    width: int
    doublings: int
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, noise, label, mask, train):
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        unit = nn.initializers.normal(1.0)
        known = Embed(self.num_classes, self.latent, unit, axis="classes", name="classes", **dtypes)
        x = jnp.concatenate([noise.astype(self.dtype), known(label)], -1)
        side, channels = self.shape[0] >> self.doublings, self.width << (self.doublings - 1)
        start: dict[str, Any] = {
            "axes": (None, "mlp"),
            "use_bias": False,
            "name": "start",
            **dtypes,
        }
        x = Dense(side * side * channels, **start)(x).reshape(-1, side, side, channels)
        x = nn.relu(BatchNorm(name="norm_0", **dtypes)(x, mask, train=train))
        for i in range(1, self.doublings):
            x = x.repeat(2, 1).repeat(2, 2)
            x = Convolution(channels >> i, name=f"conv_{i}", **dtypes)(x)
            x = nn.relu(BatchNorm(name=f"norm_{i}", **dtypes)(x, mask, train=train))
        fields: dict[str, Any] = {"use_bias": True, "axes": ("embed", None), **dtypes}
        x = Convolution(4 * self.shape[2], name="pixels", **fields)(x)
        return jnp.tanh(from_depth(x).astype(jnp.float32))


class Discriminator(nn.Module):
    """`judge` of Model. Parameters: conv_0, conv_1, ..., classes, verdict."""

    num_classes: int
    width: int
    doublings: int
    dtype: DTypeLike
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, image, label):
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = image.astype(self.dtype)
        for i in range(self.doublings):
            given: dict[str, Any] = {"use_bias": True, "name": f"conv_{i}", **dtypes}
            axes = ("embed" if i else None, "mlp")
            x = Convolution(self.width << i, axes=axes, **given)(to_depth(x))
            x = nn.leaky_relu(x, SLOPE)
        x = x.reshape(len(x), -1)
        init = nn.initializers.normal(x.shape[-1] ** -0.5)
        known = Embed(
            self.num_classes, x.shape[-1], init, axis="classes", name="classes", **dtypes
        )(label)
        fields: dict[str, Any] = {"axes": ("embed", None), "out_dtype": jnp.float32, **dtypes}
        verdict = Dense(1, name="verdict", **fields)(x)[:, 0]
        return verdict + (x.astype(jnp.float32) * known.astype(jnp.float32)).sum(-1)


class Model(nn.Module):
    """Parameters: generator and discriminator.

    Attributes:
        latent: how many numbers an image is made of, besides its class.
        width: of the last map of the generator and the first of the discriminator; the maps of half the
            height and width have twice as many.
        doublings: of the height and width, from the first map to the image.
    """

    image_size: int = None  # pyright: ignore - filled from the data
    channels: int = None  # pyright: ignore
    num_classes: int = None  # pyright: ignore
    latent: int = 64
    width: int = 32
    doublings: int = 2
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        if self.image_size % 2**self.doublings:
            raise UserError(
                f"model.image_size={self.image_size} is not halved model.doublings={self.doublings} "
                "times without a rest."
            )
        shape = self.image_size, self.image_size, self.channels
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        sizes: dict[str, Any] = {"width": self.width, "doublings": self.doublings, **dtypes}
        self.generator = Generator(shape, self.num_classes, self.latent, **sizes)
        self.discriminator = Discriminator(self.num_classes, **sizes)

    def __call__(self, noise: jax.Array, label: jax.Array) -> jax.Array:
        """What the discriminator says of what the generator paints."""
        return self.judge(self.generate(noise, label), label)

    def generate(
        self,
        noise: jax.Array,
        label: jax.Array,
        *,
        train: bool = False,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """Images `[batch, image_size, image_size, channels]` float32, -1 to 1.

        Args:
            noise: `[batch, latent]`, of the standard normal distribution.
            label: `[batch]` int32.
            mask: `[batch]` bool, True = real: which rows count in the statistics of the batch.
        """
        return self.generator(noise, label, mask, train)

    def judge(self, image: jax.Array, label: jax.Array) -> jax.Array:
        """Logits `[batch]` float32 of being real, of images of -1 to 1."""
        return self.discriminator(image, label)


VARIANTS = {"tiny": {"width": 8, "latent": 8}}
