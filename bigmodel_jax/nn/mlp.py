"""The MLP of a transformer's block, plain or gated, and its activations.

Activations compute in float32 and return the dtype that came in. Each computes its slope beside the
value, where the costly function is at hand; automatic differentiation would compute it twice.
"""

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from bigmodel_jax.nn.linear import Dense

Kind = Literal["relu", "gelu", "gelu_tanh", "swiglu", "geglu"]


class MLP(nn.Module):
    """Up to `hidden`, an activation, and down to the input's size: `[..., dim]`, in `dtype`.

    Parameters: up, down, and of the gated kinds gate (each a Dense).

    Attributes:
        kind: "relu"; "gelu", exact; "gelu_tanh", its approximation of GPT-2; or the gated units of Shazeer
            (2020), activation(gate(x)) * up(x): "swiglu", of SiLU (Llama), "geglu", of the
            approximate GELU (Gemma).
        out_init: initialiser of down's kernel.
    """

    hidden: int
    kind: Kind = "gelu"
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.lecun_normal()
    out_init: Callable = nn.initializers.lecun_normal()
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        fields: dict[str, Any] = {
            "use_bias": self.use_bias,
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
        }

        def grow(name):
            init, axes = self.kernel_init, ("embed", "mlp")
            return Dense(self.hidden, axes=axes, kernel_init=init, name=name, **fields)(x)

        y = ACTIVATIONS[self.kind](grow("gate" if self.kind in GATED else "up"))
        if self.kind in GATED:
            y *= grow("up")
        axes = ("mlp", "embed")
        down = Dense(x.shape[-1], axes=axes, kernel_init=self.out_init, name="down", **fields)
        return down(y)


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
    "relu": nn.relu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "swiglu": silu,
    "geglu": gelu_tanh,
}
GATED = ("swiglu", "geglu")
