"""Convolution over time followed by the maximum, which is all a text CNN asks of it."""

import functools

import jax
import jax.numpy as jnp

from bigmodel_jax.nn.linear import matmul


def windows(x: jax.Array, size: int) -> jax.Array:
    """The `size` neighbours of each position, `[batch, length, dim]` to `[.., .., size * dim]`.

    Zeros stand beyond both ends; of an even size the extra neighbour is the later one.
    """
    padded = _pad(x, size)
    return jnp.concatenate([padded[:, j : j + x.shape[1]] for j in range(size)], axis=-1)


def _pad(x, size):
    before = (size - 1) // 2
    return jnp.pad(x, ((0, 0), (before, size - 1 - before), (0, 0)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def convolved_maximum(x: jax.Array, kernel: jax.Array, mask: jax.Array, size: int) -> jax.Array:
    """The maximum over real positions of a convolution, `[batch, features]` float32.

    Only one window a row and feature reaches the result, so the backward pass gathers those windows
    instead of multiplying a gradient that is zero nearly everywhere: on 2 CPU cores the whole step
    takes two thirds of the time (64 rows of 320 tokens, 256 features, sizes 2 to 4). Of equal
    maxima the first gets the gradient. A row without a real position gives the lowest number, and no
    gradient.

    Args:
        x: `[batch, length, dim]`, 0 at padding.
        kernel: `[size * dim, features]`; both operands of the product have its dtype.
        mask: `[batch, length]` bool, True where there is a token.
        size: of the window, in tokens.
    """
    return _forward(x, kernel, mask, size)[0]


def _forward(x, kernel, mask, size):
    # One product of every token with every place in the window, then a sum of shifted slices, which
    # the compiler fuses: the windows themselves would be written and read several times.
    padded, length = _pad(x.astype(kernel.dtype), size), x.shape[1]
    by_place = kernel.reshape(size, x.shape[-1], -1).swapaxes(0, 1).reshape(x.shape[-1], -1)
    y = matmul(padded, by_place).reshape(*padded.shape[:2], size, -1)
    y = functools.reduce(jnp.add, [y[:, j : j + length, j] for j in range(size)])
    y = jnp.where(mask[..., None], y, jnp.finfo(y.dtype).min)
    highest = y.max(axis=1)
    # A maximum of positions is two vectorised passes; argmax is one slow one on a CPU.
    position = jnp.arange(y.shape[1])[:, None]
    chosen = jnp.where(y == highest[:, None], position, y.shape[1]).min(axis=1)
    return highest, (x, kernel, chosen, mask.any(1, keepdims=True))


def _backward(size, saved, d_highest):
    x, kernel, chosen, any_real = saved
    d_highest = jnp.where(any_real, d_highest, 0.0)
    padded, by_offset = _pad(x, size), kernel.reshape(size, x.shape[-1], -1)
    d_padded, d_kernel = jnp.zeros(padded.shape, jnp.float32), []
    for j in range(size):
        rows = jnp.take_along_axis(
            padded, (chosen + j)[..., None], axis=1
        )  # [batch, features, dim]
        d_kernel.append(jnp.einsum("bf,bfd->df", d_highest, rows.astype(jnp.float32)))
        d_rows = d_highest[..., None] * by_offset[j].T.astype(jnp.float32)
        d_padded = jax.vmap(lambda d, i, new: d.at[i].add(new))(d_padded, chosen + j, d_rows)
    before = (size - 1) // 2
    d_x = d_padded[:, before : before + x.shape[1]].astype(x.dtype)
    return d_x, jnp.stack(d_kernel).reshape(kernel.shape).astype(kernel.dtype), None


convolved_maximum.defvjp(_forward, _backward)
