"""What tells a network of images which class it paints, and how far it has come."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from bigmodel_jax.nn.activations import silu
from bigmodel_jax.nn.linear import Dense, Embed

FREQUENCIES = 256
SCALE = 1000.0  # a time of 0 to 1 counts as so many steps


class Condition(nn.Module):
    """A vector `[batch, width]` of a time and a class, in `dtype`.

    The time's sinusoids go through a perceptron, to which the class's row of a table is added (Ho et al.
    2020; Peebles and Xie 2023).

    Parameters: time_0, time_1 (each a Dense), classes (Embed): one more than there are, the last of which
    is no class.
    """

    width: int
    num_classes: int
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, time: jax.Array, label: jax.Array) -> jax.Array:
        """Of a time `[batch]` float32, 0 to 1, and a label `[batch]` int32, `num_classes` = none."""
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = sinusoids_of_time(time).astype(self.dtype)
        x = silu(Dense(self.width, axes=(None, "embed"), name="time_0", **dtypes)(x))
        x = Dense(self.width, axes=("embed", None), name="time_1", **dtypes)(x)
        table = {"axis": "classes", "name": "classes", **dtypes}
        return x + Embed(self.num_classes + 1, self.width, **table)(label)


def sinusoids_of_time(time: jax.Array) -> jax.Array:
    """`[batch, FREQUENCIES]` float32 of `[batch]`: cosines and sines of wavelengths as of positions."""
    half = FREQUENCIES // 2
    wave = np.exp(-np.log(10_000.0) * np.arange(half) / half).astype(np.float32)
    angles = np.float32(SCALE) * time[:, None].astype(jnp.float32) * wave
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], -1)
