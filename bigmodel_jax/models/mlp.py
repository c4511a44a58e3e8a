"""A multilayer perceptron: the network of introductions to MNIST, over images or any features."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax.nn import activations
from bigmodel_jax.nn.linear import Dense


class Model(nn.Module):
    """From all values of an example, side by side, to classes.

    Parameters: hidden_0, hidden_1, ..., classifier (each a Dense).

    Attributes:
        hidden: sizes of the hidden layers; none is a linear classifier.
        activation: behind each hidden layer (nn/activations.py).
        dropout: on the outputs of the hidden layers.
    """

    num_classes: int = None  # pyright: ignore - filled from the data
    hidden: tuple[int, ...] = (128,)
    activation: activations.Name = "relu"
    dropout: float = 0.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        self.activate = activations.activation(self.activation)
        self.layers = [
            Dense(size, axes=("embed" if i else None, "mlp"), name=f"hidden_{i}", **dtypes)
            for i, size in enumerate(self.hidden)
        ]
        self.drop = nn.Dropout(self.dropout)
        axes = ("embed" if self.hidden else None, "classes")
        self.classifier = Dense(self.num_classes, axes=axes, out_dtype=jnp.float32, **dtypes)

    def __call__(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """Logits `[batch, num_classes]` float32.

        Args:
            image: `[batch, ...]`, floats: `[batch, height, width, channels]`, or features.
        """
        return self.classifier(self.features(image, train=train))

    def features(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """What the classifier sees, `[batch, hidden[-1]]` in `dtype`."""
        x = image.reshape(image.shape[0], -1).astype(self.dtype)
        for layer in self.layers:
            x = self.drop(self.activate(layer(x)), deterministic=not train)
        return x


# The numbers of inputs and classes, 784 and 10 of MNIST, come from the data.
VARIANTS = {
    "784-128-10": {"hidden": (128,)},
    "784-128-64-10": {"hidden": (128, 64)},
    "tiny": {"hidden": (16,)},
}
