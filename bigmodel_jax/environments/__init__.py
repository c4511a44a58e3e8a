"""Environments written in JAX: pure functions, so that acting and learning are one program.

An `Environment` is one world, of which `jax.vmap` makes many:

    reset(rng) -> state                      a dict of arrays, {"time": int32 [], ...}
    step(state, action, rng) -> (state, reward, terminated, truncated)
    observe(state) -> observation            float32 `observation_shape`

`terminated` says that the world has ended, and nothing is to be had from it any more; `truncated` that only
the time is over, `limit` steps. Its attributes `num_actions` (actions are int32 [], from 0 up) or
`action_size` (actions are float32 [action_size]; of one that is too strong, as much as is possible is done)
say how to act in it, the other is None. `draw(state)` gives a picture, uint8 [height, width, 3], on the host.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax.config import build
from bigmodel_jax.errors import UserError


def actions(environment: Any) -> dict[str, int]:
    """{"num_actions"} or {"action_size"} of an environment, whichever it has."""
    sizes = {"num_actions": environment.num_actions, "action_size": environment.action_size}
    return {key: size for key, size in sizes.items() if size is not None}


def checked(spec: Mapping) -> Any:
    """The environment of a spec, dict(name="cartpole"), found to give what it declares.

    Raises:
        UserError: what it gives has another shape or dtype.
    """
    environment = build("environments", spec)

    def moved(rng):
        start, size = environment.reset(rng), environment.action_size
        action = jnp.zeros((), jnp.int32) if size is None else jnp.zeros(size)
        state, *rest = environment.step(start, action, rng)
        return start, state, environment.observe(state), *rest

    start, state, seen, reward, terminated, truncated = jax.eval_shape(moved, jax.random.key(0))
    found = {
        "an observation": (seen, environment.observation_shape, jnp.float32),
        "a reward": (reward, (), jnp.float32),
        "terminated": (terminated, (), jnp.bool_),
        "truncated": (truncated, (), jnp.bool_),
    }
    for what, (value, shape, dtype) in found.items():
        if (value.shape, value.dtype) != (shape, jnp.dtype(dtype)):
            raise UserError(
                f"The environment {spec['name']!r} gives {what} of {value.dtype}{list(value.shape)}, but "
                f"{jnp.dtype(dtype)}{list(shape)} is what it declares or what all have: mend its step or observe."
            )
    if jax.tree.map(_kind, start) != jax.tree.map(_kind, state):
        raise UserError(
            f"The environment {spec['name']!r} begins with {jax.tree.map(_kind, start)}, but after a step has "
            f"{jax.tree.map(_kind, state)}: mend its reset or step."
        )
    return environment


def _kind(x) -> str:
    return f"{x.dtype}{list(x.shape)}"
