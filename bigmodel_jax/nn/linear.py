"""Dense and embedding layers, and the matrix product under them.

`matmul` is written once for every device. Operands are in the compute dtype, sums are float32,
and the gradient products are stated in the form in which compilers do well: on XLA's CPU backend
the automatic weight gradient of a product over `[batch, length, in]` takes two to four times as
long, and plain bfloat16 products are no faster than float32's.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax import sharding


@jax.custom_vjp
def matmul(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Multiplies the last axis: `[..., in]` by `[in, out]` gives `[..., out]`.

    Both operands have one dtype, in which the operands of the gradient products are too; all three
    results are float32. Leading axes are contracted together rather than reshaped into one, so
    that a sharded batch or length stays where it is. There is no forward-mode derivative.
    """
    return jnp.einsum("...i,io->...o", x, kernel, preferred_element_type=jnp.float32)


def _matmul_forward(x, kernel):
    # Not matmul itself: a policy of jax.checkpoint that keeps products must see that it is one.
    out = jnp.einsum("...i,io->...o", x, kernel, preferred_element_type=jnp.float32)
    return out, (x, kernel)


def _matmul_backward(saved, d_out):
    x, kernel = saved
    d_out = d_out.astype(x.dtype)
    d_x = jnp.einsum("...o,io->...i", d_out, kernel, preferred_element_type=jnp.float32)
    # The left operand is transposed in memory; to have it be d_out costs a transposed result.
    if d_out.size + kernel.size < x.size:
        d_kernel = jnp.einsum("...o,...i->oi", d_out, x, preferred_element_type=jnp.float32)
        d_kernel = jax.lax.optimization_barrier(d_kernel).T
    else:
        d_kernel = jnp.einsum("...i,...o->io", x, d_out, preferred_element_type=jnp.float32)
    return d_x.astype(x.dtype), d_kernel.astype(kernel.dtype)


matmul.defvjp(_matmul_forward, _matmul_backward)


class Dense(nn.Module):
    """An affine map of the last axis: `[..., in]` to `[..., features]`, in `dtype`.

    Parameters: kernel `[in, features]` with the logical axes `axes`, bias `[features]`.

    Attributes:
        out_dtype: of the result where it is not `dtype`, as of logits.
    """

    features: int
    use_bias: bool = True
    axes: tuple[str | None, str | None] = ("embed", "mlp")
    kernel_init: Callable = nn.initializers.lecun_normal()
    out_dtype: DTypeLike | None = None
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param(
            "kernel",
            sharding.axes(self.kernel_init, *self.axes),
            (x.shape[-1], self.features),
            self.param_dtype,
        )
        y = matmul(x.astype(self.dtype), kernel.astype(self.dtype))
        if self.use_bias:
            init = sharding.axes(nn.initializers.zeros, self.axes[1])
            y += self.param("bias", init, (self.features,), self.param_dtype).astype(jnp.float32)
        return y.astype(self.out_dtype or self.dtype)


class Projection(nn.Module):
    """An affine map of the last `in_axes` axes to `features`, one or more; see Dense."""

    features: tuple[int, ...]
    names: tuple[str | None, ...]
    in_axes: int = 1
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.xavier_uniform()
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, inputs = x.shape[: -self.in_axes], x.shape[-self.in_axes :]
        size_in, size_out = math.prod(inputs), math.prod(self.features)

        def flat_init(key, shape, dtype):  # the fan is that of the matrix
            return self.kernel_init(key, (size_in, size_out), dtype).reshape(shape)

        init = sharding.axes(flat_init, *self.names)
        kernel = self.param("kernel", init, (*inputs, *self.features), self.param_dtype)
        matrix = kernel.astype(self.dtype).reshape(size_in, size_out)
        y = matmul(x.astype(self.dtype).reshape(*batch, size_in), matrix)
        y = y.reshape(*batch, *self.features)
        if self.use_bias:
            zeros = sharding.axes(nn.initializers.zeros, *self.names[self.in_axes :])
            bias = self.param("bias", zeros, self.features, self.param_dtype)
            y += bias.astype(jnp.float32)
        return y.astype(self.dtype)


class Embed(nn.Module):
    """A table of vectors: ids `[...]` int to `[..., features]`, in `dtype`.

    An id outside `[0, vocabulary_size)` gives NaN, so that the mistake is seen. Rows are cast after
    they are gathered: the gradient of the table is summed in `param_dtype`.

    Attributes:
        axis: the logical axis of the rows.
    """

    vocabulary_size: int
    features: int
    embedding_init: Callable = nn.initializers.normal(stddev=0.02)
    axis: str | None = "vocab"
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    def setup(self):
        self.embedding = self.param(
            "embedding",
            sharding.axes(self.embedding_init, self.axis, "embed"),
            (self.vocabulary_size, self.features),
            self.param_dtype,
        )

    def __call__(self, ids: jax.Array) -> jax.Array:
        return jnp.take(self.embedding, ids, axis=0, mode="fill").astype(self.dtype)

    def attend(self, x: jax.Array) -> jax.Array:
        """The products of `[..., features]` with every row: `[..., vocabulary_size]` float32."""
        return matmul(x.astype(self.dtype), self.embedding.astype(self.dtype).T)
