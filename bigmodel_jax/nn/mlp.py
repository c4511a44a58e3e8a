"""The MLP of a transformer's block, plain or gated."""

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from bigmodel_jax.nn.activations import gelu, gelu_tanh, silu
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


ACTIVATIONS = {
    "relu": nn.relu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "swiglu": silu,
    "geglu": gelu_tanh,
}
GATED = ("swiglu", "geglu")
