"""Convolution of images, and the maximum and the mean over windows of one."""

import functools
import itertools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError

# As torchvision's and timm's residual networks begin (He et al. 2015).
he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class Convolution(nn.Module):
    """A convolution `[batch, height, width, in]` to `[batch, .., .., features]`, in `dtype`.

    Parameters: kernel `[size, size, in, features]`, its last axes with the logical axes `axes`; bias
    `[features]`.

    Attributes:
        stride: of the windows, in both directions.
        padding: zeros beyond each of the four edges, as torch counts them (XLA's "SAME" puts fewer
            before than after where a stride leaves a rest); None is size // 2.
    """

    features: int
    size: int = 3
    stride: int = 1
    padding: int | None = None
    use_bias: bool = False
    axes: tuple[str | None, str | None] = ("embed", "mlp")
    kernel_init: Callable = he_normal
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1], self.features)
        init = sharding.axes(self.kernel_init, None, None, *self.axes)
        kernel = self.param("kernel", init, shape, self.param_dtype)
        padding = self.size // 2 if self.padding is None else self.padding
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, padding)
        if self.use_bias:
            zeros = sharding.axes(nn.initializers.zeros, self.axes[1])
            y += self.param("bias", zeros, (self.features,), self.param_dtype).astype(y.dtype)
        return y


def convolve(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """`[batch, height, width, in]` by `[size, size, in, out]`, both of one dtype, which stays."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((padding, padding), (padding, padding)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def from_depth(x: jax.Array, size: int = 2) -> jax.Array:
    """`[batch, height, width, size * size * channels]` to `[batch, height * size, width * size, channels]`.

    A place's channels become a square of places, row by row (Shi et al. 2016).
    """
    batch, height, width, depth = x.shape
    x = x.reshape(batch, height, width, size, size, depth // size**2).swapaxes(2, 3)
    return x.reshape(batch, height * size, width * size, -1)


def to_depth(x: jax.Array, size: int = 2) -> jax.Array:
    """The inverse of `from_depth`: squares of places become channels of one; the sides divide by `size`."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // size, size, width // size, size, channels).swapaxes(2, 3)
    return x.reshape(batch, height // size, width // size, -1)


def max_pool(x: jax.Array, size: int, stride: int, padding: int = 0) -> jax.Array:
    """The maximum of each window of `[batch, height, width, channels]`; padding is never it.

    Of equal maxima each gets a share of the gradient. As maxima of slices the backward pass takes an
    eighth of the time on a CPU that reduce_window's takes (windows of 2).
    """
    lowest = jnp.asarray(jnp.finfo(x.dtype).min, x.dtype)
    edges = (padding, padding, 0)
    padded = jax.lax.pad(x, lowest, ((0, 0, 0), edges, edges, (0, 0, 0))) if padding else x
    windows = _windows(padded.astype(jnp.float32), size, stride)
    return functools.reduce(jnp.maximum, windows).astype(x.dtype)


def mean_pool(x: jax.Array, size: int, stride: int) -> jax.Array:
    """The mean of each window of `[batch, height, width, channels]`."""
    windows = _windows(x.astype(jnp.float32), size, stride)
    return (functools.reduce(jnp.add, windows) / size**2).astype(x.dtype)


def _windows(x, size, stride):
    """What is at each place of a window, of all windows that fit."""
    rows, columns = ((length - size) // stride * stride + 1 for length in x.shape[1:3])
    if min(rows, columns) < 1:
        raise UserError(f"A window of {size} does not fit into {x.shape[1]} x {x.shape[2]} pixels.")
    places = itertools.product(range(size), repeat=2)
    return [x[:, i : i + rows : stride, j : j + columns : stride] for i, j in places]
