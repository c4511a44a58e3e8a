"""Activations, by name.

They compute in float32 and return the dtype that came in. Where the slope is costly it is computed
beside the value, when what both need is at hand; automatic differentiation would compute it twice.
"""

from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.errors import UserError, nearest

Name = Literal["sigmoid", "tanh", "relu", "gelu", "gelu_tanh", "silu"]


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """The function of that name; a UserError where there is none."""
    if name not in ACTIVATIONS:
        raise UserError(f"model.activation is {name!r}.{nearest(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]


@jax.custom_vjp
def gelu(x: jax.Array) -> jax.Array:
    """x times the normal distribution's Phi(x) (Hendrycks and Gimpel 2016), exactly."""
    return _gelu_forward(x)[0]


def _gelu_forward(x):
    x32 = x.astype(jnp.float32)
    phi = 0.5 * (1.0 + jax.lax.erf(x32 * np.float32(0.5**0.5)))
    slope = phi + x32 * jnp.exp(-0.5 * x32 * x32) * np.float32((2 * np.pi) ** -0.5)
    return (x32 * phi).astype(x.dtype), slope.astype(x.dtype)


@jax.custom_vjp
def gelu_tanh(x: jax.Array) -> jax.Array:
    """GELU with tanh in place of the error function, as GPT-2 computes it (the same paper)."""
    return _gelu_tanh_forward(x)[0]


def _gelu_tanh_forward(x):
    x32 = x.astype(jnp.float32)
    root, cubic = np.float32((2 / np.pi) ** 0.5), np.float32(0.044715)
    t = jnp.tanh(root * (x32 + cubic * x32 * x32 * x32))
    half = 0.5 * (1.0 + t)
    slope = half + 0.5 * x32 * (1.0 - t * t) * root * (1.0 + 3.0 * cubic * x32 * x32)
    return (x32 * half).astype(x.dtype), slope.astype(x.dtype)


@jax.custom_vjp
def silu(x: jax.Array) -> jax.Array:
    """x times its logistic function (Elfwing et al. 2017; also called swish)."""
    return _silu_forward(x)[0]


def _silu_forward(x):
    x32 = x.astype(jnp.float32)
    s = nn.sigmoid(x32)
    return (x32 * s).astype(x.dtype), (s * (1.0 + x32 * (1.0 - s))).astype(x.dtype)


def _backward(slope, d_y):
    return (d_y * slope,)


gelu.defvjp(_gelu_forward, _backward)
gelu_tanh.defvjp(_gelu_tanh_forward, _backward)
silu.defvjp(_silu_forward, _backward)

ACTIVATIONS = {
    "sigmoid": nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": nn.relu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": silu,
}
