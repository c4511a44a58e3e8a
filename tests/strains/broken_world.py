"""An environment in JAX that does not give what it declares."""

import jax.numpy as jnp

from bigmodel_jax.environments import bitcells


class Environment(bitcells.Environment):
    """The bit cells, but the reward or the observation is not as it should be.

    Args:
        fault: "nan", "reward", "observation" or "state".
    """

    def __init__(self, fault: str):
        super().__init__(cells=4)
        self.fault = fault

    def step(self, state, action, rng):
        state, reward, *rest = super().step(state, action, rng)
        if self.fault == "state":
            state = {**state, "more": reward}
        changed = {"nan": reward * jnp.nan, "reward": reward[None]}
        return state, changed.get(self.fault, reward), *rest

    def observe(self, state):
        return state["cells"][1:] if self.fault == "observation" else state["cells"]
