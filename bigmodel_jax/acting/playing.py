"""Whole episodes, to see how good an agent is."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax.acting import worlds


def play(
    environment: Any, choose: Callable, count: int, rng: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(returns float32, lengths int32) of `count` episodes, all [count]; ends with the longest.

    Args:
        choose: `(observations, rng) -> actions`.
    """

    def going(carry):
        _, done, _, _ = carry
        return ~done.all()

    def move(carry):
        world, done, found, rng = carry
        rng, key = jax.random.split(rng)
        world, _ = worlds.move(environment, world, choose, key)
        ended = world["over"] & ~done  # an episode begins anew, but only the first is counted
        now = (world["return"], world["length"])
        found = jax.tree.map(lambda new, old: jnp.where(ended, new, old), now, found)
        return world, done | ended, found, rng

    start = (
        worlds.begin(environment, count),
        jnp.zeros(count, bool),
        (jnp.zeros(count), jnp.zeros(count, jnp.int32)),
        rng,
    )
    return jax.lax.while_loop(going, move, start)[2]
