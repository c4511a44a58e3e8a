"""An actor and a critic beside each other: the network of PPO on small observations."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from bigmodel_jax.nn import activations
from bigmodel_jax.nn.linear import Dense


class Model(nn.Module):
    """Two multilayer perceptrons with orthogonal kernels, as in the code of Schulman et al. (2017).

    Parameters: policy_0, policy_1, ..., policy; value_0, ..., value (each a Dense); of a continuous policy
    also log_std [action_size], which is the same whatever is observed.

    Attributes:
        num_actions: of a discrete policy, filled from the data.
        action_size: of a continuous one, filled from the data.
        hidden: sizes of the hidden layers of each.
        activation: behind each hidden layer (nn/activations.py).
        log_std: at the start.
    """

    num_actions: int | None = None
    action_size: int | None = None
    hidden: tuple[int, ...] = (64, 64)
    activation: activations.Name = "tanh"
    log_std: float = 0.0
    dtype: DTypeLike = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, observation: jax.Array, *, train: bool = False
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        """(the policy's parameters as of acting/policies.py, values [...]), float32.

        Args:
            observation: `[..., size]` float32.
            train: changes nothing.
        """
        size = self.num_actions or self.action_size
        actor = self._network("policy", observation, size, 0.01)
        value = self._network("value", observation, 1, 1.0)[..., 0]
        if self.num_actions:
            return {"logits": actor}, value
        init = nn.initializers.constant(self.log_std)
        log_std = self.param("log_std", init, (size,), self.param_dtype).astype(jnp.float32)
        return {"mean": actor, "log_std": jnp.broadcast_to(log_std, actor.shape)}, value

    def _network(self, name, x, size, scale):
        dtypes: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        activate = activations.activation(self.activation)
        for i, width in enumerate(self.hidden):
            init = nn.initializers.orthogonal(np.sqrt(2))
            axes = ("embed" if i else None, "mlp")
            x = activate(Dense(width, axes=axes, kernel_init=init, name=f"{name}_{i}", **dtypes)(x))
        init = nn.initializers.orthogonal(scale)
        axes = ("embed" if self.hidden else None, None)
        last = Dense(size, axes=axes, kernel_init=init, out_dtype=jnp.float32, name=name, **dtypes)
        return last(x)


VARIANTS = {"64-64": {"hidden": (64, 64)}, "tiny": {"hidden": (16,)}}
