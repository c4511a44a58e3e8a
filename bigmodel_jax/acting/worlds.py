"""Many worlds of one environment, each of which begins anew when it is over."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def begin(environment: Any, count: int) -> dict[str, Any]:
    """`count` worlds that are all over, so that the first move begins them, by its own randomness.

    Returns:
        {"state": of the environments, "over": bool, "return": float32, "length": int32}, each
        `[count, ...]`: what the episode has brought so far, and its steps.
    """
    state = jax.eval_shape(environment.reset, jax.random.key(0))
    return {
        "state": jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), state),
        "over": jnp.ones(count, bool),
        "return": jnp.zeros(count),
        "length": jnp.zeros(count, jnp.int32),
    }


def move(
    environment: Any, worlds: dict[str, Any], choose: Callable, rng: jax.Array
) -> tuple[dict[str, Any], dict[str, jax.Array]]:
    """One step in all worlds; those that are over begin anew before it.

    Args:
        choose: `(observations, rng) -> actions`.

    Returns:
        (the worlds, the transition), all `[count, ...]`: "observation", "action", "reward", "terminated",
        "truncated", "next_observation" (of the world as it was left, even if it is over), and the "return"
        and "length" of the episode so far.
    """
    act_rng, reset_rng, step_rng = jax.random.split(rng, 3)
    over = worlds["over"]
    resets, steps = (jax.random.split(key, len(over)) for key in (reset_rng, step_rng))

    def anew(fresh, old):
        return jnp.where(over.reshape(-1, *[1] * (old.ndim - 1)), fresh, old)

    state = jax.tree.map(anew, jax.vmap(environment.reset)(resets), worlds["state"])
    observation = jax.vmap(environment.observe)(state)
    action = choose(observation, act_rng)
    state, reward, terminated, truncated = jax.vmap(environment.step)(state, action, steps)
    total = jnp.where(over, 0.0, worlds["return"]) + reward
    length = jnp.where(over, 0, worlds["length"]) + 1
    after = {"state": state, "over": terminated | truncated, "return": total, "length": length}
    return after, {
        "observation": observation,
        "action": action,
        "reward": reward,
        "terminated": terminated,
        "truncated": truncated,
        "next_observation": jax.vmap(environment.observe)(state),
        "return": total,
        "length": length,
    }
