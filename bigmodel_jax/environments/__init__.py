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

from typing import Any


def actions(environment: Any) -> dict[str, int]:
    """{"num_actions"} or {"action_size"} of an environment, whichever it has."""
    sizes = {"num_actions": environment.num_actions, "action_size": environment.action_size}
    return {key: size for key, size in sizes.items() if size is not None}
