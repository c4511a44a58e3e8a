"""Batch normalisation, whose running statistics are variables beside the parameters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


class BatchNorm(nn.Module):
    """To mean 0 and variance 1 over all axes but the last, then scale and bias (Ioffe, Szegedy 2015).

    In training by the statistics of the batch, which move the running ones; else by the running
    ones. Under `jax.jit` over a mesh a mean over the batch is one over all its devices, so that the
    statistics are those of the whole batch (of a micro-batch, with `optimizer.accumulate`).

    Computes in float32 and returns `dtype`. Parameters: scale and bias, `[channels]`. In
    "batch_stats", float32 whatever `param_dtype` is: mean and var. The numbers are those of
    torch.nn.BatchNorm2d, whose running variance is the unbiased one, divided by count - 1; Flax's
    own layer keeps the other.

    Attributes:
        momentum: the share of the running statistics that an update keeps: 1 - torch's.
        scale_init: of scale; zeros, where a block is to begin as its shortcut.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    use_scale: bool = True
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array | None = None, *, train: bool = False
    ) -> jax.Array:
        """`[batch, ..., channels]` to the same.

        Args:
            mask: `[batch]` bool, True = real: the other rows count in no statistics. None is all real.
        """
        shape = (x.shape[-1],)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        dtype, x = self.dtype, x.astype(jnp.float32)
        if train:
            mean, var, count = _statistics(x, mask)
            if not self.is_initializing():
                # A micro-batch may be padding alone.
                keep = jnp.where(count > 0, self.momentum, 1.0)
                unbiased = var * (count / jnp.maximum(count - 1, 1))
                running_mean.value = keep * running_mean.value + (1 - keep) * mean
                running_var.value = keep * running_var.value + (1 - keep) * unbiased
        else:
            mean, var = running_mean.value, running_var.value
        factor = jax.lax.rsqrt(var + self.epsilon)
        if self.use_scale:
            factor *= self.param("scale", self.scale_init, shape, self.param_dtype).astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros, shape, self.param_dtype)
        return ((x - mean) * factor + bias.astype(x.dtype)).astype(dtype)


def _statistics(x, mask):
    """(mean, biased variance, number of values) of each channel."""
    axes = tuple(range(x.ndim - 1))
    if mask is None:
        mean = x.mean(axes)
        centred = x - mean
        count = jnp.float32(x.size // x.shape[-1])
        return mean, (centred * centred).mean(axes), count
    real = mask.reshape(-1, *[1] * (x.ndim - 1))
    count = mask.sum().astype(jnp.float32) * (x[0].size // x.shape[-1])
    divisor = jnp.maximum(count, 1)
    # A product with 0 would let a NaN through, here or in a gradient.
    mean = jnp.where(real, x, 0.0).sum(axes) / divisor
    centred = jnp.where(real, x - mean, 0.0)
    return mean, (centred * centred).sum(axes) / divisor, count


def normalise(layer: nn.Module, x: jax.Array, mask: jax.Array | None, train: bool) -> jax.Array:
    """A norm of any kind: batches concern BatchNorm alone."""
    return layer(x, mask, train=train) if isinstance(layer, BatchNorm) else layer(x)
