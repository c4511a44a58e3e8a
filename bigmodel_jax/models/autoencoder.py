"""An autoencoder: a perceptron squeezes an image into a few numbers, another paints it from them."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax.nn import activations
from bigmodel_jax.nn.linear import Dense


class Model(nn.Module):
    """From images to images (Hinton and Salakhutdinov 2006, trained as a whole).

    Parameters: encoder_0, encoder_1, ..., code, decoder_0, decoder_1, ..., pixels (each a Dense).

    Attributes:
        hidden: sizes of the encoder's hidden layers; the decoder has the same in reverse.
        code: how many numbers an image is squeezed into.
        activation: behind each hidden layer (nn/activations.py).
    """

    hidden: tuple[int, ...] = (256, 128)
    code: int = 16
    activation: activations.Name = "relu"
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """What is painted, of the shape of the image, float32.

        Args:
            image: `[batch, height, width, channels]` floats.
            train: changes nothing.
        """
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        activate, pixels = activations.activation(self.activation), math.prod(image.shape[1:])
        x, axes = image.reshape(len(image), -1), (None, "mlp")
        for i, size in enumerate(self.hidden):
            x = activate(Dense(size, axes=axes, name=f"encoder_{i}", **dtypes)(x))
            axes = ("embed", "mlp")
        x = Dense(self.code, axes=("embed", None), name="code", **dtypes)(x)
        axes = (None, "mlp")
        for i, size in enumerate(reversed(self.hidden)):
            x = activate(Dense(size, axes=axes, name=f"decoder_{i}", **dtypes)(x))
            axes = ("embed", "mlp")
        fields: dict[str, Any] = {"out_dtype": jnp.float32, **dtypes}
        return Dense(pixels, axes=("embed", None), name="pixels", **fields)(x).reshape(image.shape)


VARIANTS = {"784-16": {"hidden": (256, 128), "code": 16}, "tiny": {"hidden": (16,), "code": 4}}
