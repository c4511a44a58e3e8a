"""Recurrent layers: an LSTM whose scan does only what must be done step by step.

The input is projected for all steps in one product before the scan, and the backward pass is our
own: from saved gate activations it computes the gates' gradients step by step, and from those the
recurrent weight's gradient in one product, instead of adding up one small product a step.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from bigmodel_jax import sharding
from bigmodel_jax.nn.linear import matmul


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def lstm(gates: jax.Array, kernel: jax.Array, mask: jax.Array, reverse: bool = False) -> jax.Array:
    """The recurrence of an LSTM (Hochreiter and Schmidhuber 1997; Gers et al. 2000, forget gate).

    It starts from zeros; where the mask is False the state stays as it is, so that the reverse
    direction over rows padded at their end starts at the last real token. The state and what is
    saved for the backward pass are float32, and only the operands of products have the kernel's
    dtype: XLA's CPU backend takes several times as long to store bfloat16 in a scan. The gates'
    activations are saved as four arrays: it does not vectorise a step that cuts them out of one.

    Args:
        gates: `[length, batch, 4 * hidden]` float32, the inputs' share of the gates'
            pre-activations, in the order input, forget, candidate, output.
        kernel: `[hidden, 4 * hidden]`.
        mask: `[length, batch]` bool, True where there is a token.
        reverse: from the last step to the first.

    Returns:
        The hidden state after each step, `[length, batch, hidden]` float32.
    """
    return _forward(gates, kernel, mask, reverse)[0]


def _forward(gates, kernel, mask, reverse):
    def step(state, inputs):
        h, c = state
        gates, real = inputs
        i, f, g, o = jnp.split(gates + matmul(h.astype(kernel.dtype), kernel), 4, axis=-1)
        i, f, g, o = nn.sigmoid(i), nn.sigmoid(f), jnp.tanh(g), nn.sigmoid(o)
        new_c = f * c + i * g
        new_h = o * jnp.tanh(new_c)
        state = jnp.where(real, new_h, h), jnp.where(real, new_c, c)
        return state, (state[0], (i, f, g, o), c)

    zeros = jnp.zeros((gates.shape[1], kernel.shape[0]), jnp.float32)
    inputs = gates, mask[..., None]
    _, (h, activations, c_before) = lax.scan(step, (zeros, zeros), inputs, reverse=reverse)
    return h, (h, activations, c_before, kernel, mask)


def _backward(reverse, saved, d_h):
    h, activations, c_before, kernel, mask = saved
    kernel_transposed = kernel.T

    def step(d_state, inputs):
        d_h, d_c = d_state
        d_output, (i, f, g, o), c_before, real = inputs
        tanh_c = jnp.tanh(f * c_before + i * g)
        d_h += d_output
        d_new_c = d_c + d_h * o * (1 - tanh_c**2)
        d_i = d_new_c * g * i * (1 - i)
        d_f = d_new_c * c_before * f * (1 - f)
        d_g = d_new_c * i * (1 - g**2)
        d_o = d_h * tanh_c * o * (1 - o)
        d_gates = jnp.where(real, jnp.concatenate([d_i, d_f, d_g, d_o], axis=-1), 0)
        before = matmul(d_gates.astype(kernel.dtype), kernel_transposed), d_new_c * f
        return (jnp.where(real, before[0], d_h), jnp.where(real, before[1], d_c)), d_gates

    zeros = jnp.zeros_like(c_before[0])
    inputs = d_h, activations, c_before, mask[..., None]
    _, d_gates = lax.scan(step, (zeros, zeros), inputs, reverse=not reverse)
    # Each step's gates met the state before it; at the first step that is zero. (Shifting the state
    # moves a quarter of the bytes of shifting the gates.)
    first = jnp.zeros_like(h[:1])
    h_before = jnp.concatenate([h[1:], first] if reverse else [first, h[:-1]])
    d_kernel = jnp.einsum(
        "...h,...g->hg",
        h_before.astype(kernel.dtype),
        d_gates.astype(kernel.dtype),
        preferred_element_type=jnp.float32,
    )
    return d_gates, d_kernel.astype(kernel.dtype), None


lstm.defvjp(_forward, _backward)


def unit_forget_bias(key, shape, dtype=jnp.float32) -> jax.Array:
    """Zeros, and ones for the forget gate (Jozefowicz et al. 2015): memory at the start."""
    return jnp.repeat(jnp.array([0, 1, 0, 0], dtype), shape[0] // 4)


class LSTM(nn.Module):
    """One LSTM layer over ragged rows: `[batch, length, in]` to outputs and the final state.

    The gates' order is torch's and Keras's: input, forget, candidate, output. Parameters:
    input_kernel `[in, 4 * features]` (Glorot uniform), recurrent_kernel `[features, 4 * features]`
    (orthogonal), bias `[4 * features]` (one for the forget gate, zero elsewhere), as in Keras.
    """

    features: int
    reverse: bool = False
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32
    input_init: Callable = nn.initializers.glorot_uniform()
    recurrent_init: Callable = nn.initializers.orthogonal()

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Runs over the real tokens of each row.

        Args:
            x: `[batch, length, in]`.
            mask: `[batch, length]` bool, True where there is a token.

        Returns:
            The hidden state after each step, `[batch, length, features]`, which padding leaves as
            it is, and the final one, `[batch, features]`: that after the last real token, or,
            reversed, after the first. Both in `dtype`.
        """

        def param(name, init, shape, *names):
            return self.param(name, sharding.axes(init, *names), shape, self.param_dtype)

        size = 4 * self.features
        input_kernel = param(
            "input_kernel", self.input_init, (x.shape[-1], size), "embed", "hidden"
        )
        recurrent_kernel = param(
            "recurrent_kernel", self.recurrent_init, (self.features, size), None, "hidden"
        )
        bias = param("bias", unit_forget_bias, (size,), "hidden")

        x = x.swapaxes(0, 1).astype(self.dtype)
        gates = matmul(x, input_kernel.astype(self.dtype)) + bias.astype(jnp.float32)
        h = lstm(gates, recurrent_kernel.astype(self.dtype), mask.swapaxes(0, 1), self.reverse)
        h = jnp.asarray(h, self.dtype)
        return h.swapaxes(0, 1), h[0 if self.reverse else -1]


class BidirectionalLSTM(nn.Module):
    """Two LSTMs over the same rows, `forward` and `backward`, side by side in this order."""

    features: int
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """As LSTM: outputs `[batch, length, 2 * features]`, final states `[batch, 2 * features]`."""
        layer = functools.partial(
            LSTM, self.features, dtype=self.dtype, param_dtype=self.param_dtype
        )
        forward, last = layer(name="forward")(x, mask)
        backward, first = layer(name="backward", reverse=True)(x, mask)
        return jnp.concatenate([forward, backward], -1), jnp.concatenate([last, first], -1)
