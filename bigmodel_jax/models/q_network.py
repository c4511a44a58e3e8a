"""What each action is worth: the network of DQN on small observations."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax.nn import activations
from bigmodel_jax.nn.linear import Dense


class Model(nn.Module):
    """A multilayer perceptron; a duelling one says apart what the state is worth (Wang et al. 2016, eq. 9).

    Parameters: hidden_0, hidden_1, ..., advantage, and of a duelling one value (each a Dense).

    Attributes:
        num_actions: filled from the data.
        hidden: sizes of the hidden layers.
        duelling: the value plus each action's advantage over their mean.
        activation: behind each hidden layer (nn/activations.py).
    """

    num_actions: int = None  # pyright: ignore - filled from the data
    hidden: tuple[int, ...] = (128, 128)
    duelling: bool = True
    activation: activations.Name = "relu"
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, observation: jax.Array, *, train: bool = False) -> jax.Array:
        """Values of the actions, `[..., num_actions]` float32.

        Args:
            observation: `[..., size]` float32.
            train: changes nothing.
        """
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        activate, x = activations.activation(self.activation), observation
        for i, width in enumerate(self.hidden):
            axes = ("embed" if i else None, "mlp")
            x = activate(Dense(width, axes=axes, name=f"hidden_{i}", **dtypes)(x))
        last: dict[str, Any] = {**dtypes, "out_dtype": jnp.float32}
        last["axes"] = ("embed" if self.hidden else None, None)
        advantage = Dense(self.num_actions, name="advantage", **last)(x)
        if not self.duelling:
            return advantage
        return Dense(1, name="value", **last)(x) + advantage - advantage.mean(-1, keepdims=True)


VARIANTS = {"128-128": {"hidden": (128, 128)}, "tiny": {"hidden": (16,)}}
