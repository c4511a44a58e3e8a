"""A variational autoencoder: an image becomes a normal distribution over a few numbers, and a draw of it
an image again.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax.nn import activations
from bigmodel_jax.nn.linear import Dense


class Model(nn.Module):
    """From images and noise to images (Kingma and Welling 2014), by two perceptrons.

    Parameters: encoder_0, encoder_1, ..., mean, log_variance, decoder_0, decoder_1, ..., pixels (each a
    Dense).

    Attributes:
        hidden: sizes of the encoder's hidden layers; the decoder has the same in reverse.
        latent: how many numbers stand for an image.
        activation: behind each hidden layer (nn/activations.py).
    """

    image_size: int = None  # pyright: ignore - filled from the data
    channels: int = None  # pyright: ignore
    hidden: tuple[int, ...] = (500,)
    latent: int = 20
    activation: activations.Name = "relu"
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        self.activate = activations.activation(self.activation)

        def layers(sizes, name):
            return [
                Dense(n, axes=("embed" if i else None, "mlp"), name=f"{name}_{i}", **dtypes)
                for i, n in enumerate(sizes)
            ]

        last: dict[str, Any] = {"axes": ("embed", None), "out_dtype": jnp.float32, **dtypes}
        self.encoder = layers(self.hidden, "encoder")
        self.mean, self.log_variance = Dense(self.latent, **last), Dense(self.latent, **last)
        self.decoder = layers(self.hidden[::-1], "decoder")
        self.pixels = Dense(math.prod(self.shape), **last)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image."""
        return self.image_size, self.image_size, self.channels

    def __call__(
        self, image: jax.Array, noise: jax.Array, *, train: bool = False
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """(logits of the pixels, of the image's shape, mean, log-variance `[batch, latent]`), float32.

        Args:
            image: `[batch, height, width, channels]`, 0 to 1.
            noise: `[batch, latent]`, of the standard normal distribution.
            train: changes nothing.
        """
        mean, log_variance = self.encode(image)
        return self.decode(mean + jnp.exp(0.5 * log_variance) * noise), mean, log_variance

    def encode(self, image: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The mean and the log-variance of what may stand for the image, `[batch, latent]` float32."""
        x = image.reshape(len(image), -1)
        for layer in self.encoder:
            x = self.activate(layer(x))
        return self.mean(x), self.log_variance(x)

    def decode(self, latent: jax.Array) -> jax.Array:
        """Logits of the pixels, `[batch, height, width, channels]` float32."""
        x = latent
        for layer in self.decoder:
            x = self.activate(layer(x))
        return self.pixels(x).reshape(-1, *self.shape)


VARIANTS = {"784-500-20": {}, "tiny": {"hidden": (16,), "latent": 4}}
