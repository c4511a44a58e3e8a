"""A memory of transitions, from which those that surprise are drawn more often (Schaul et al. 2016).

It is a dict of arrays, {"rows": dict [capacity, ...], "priority" float32 [capacity], "next" and "filled"
int32 []}, and so lies in a step's slots and in every checkpoint.
"""

from typing import Any

import jax
import jax.numpy as jnp

SMALL = 1e-3  # added to every surprise, so that each row may be drawn again

Replay = dict[str, Any]


def create(row: Any, capacity: int) -> Replay:
    """An empty memory for rows of these shapes and dtypes."""
    rows = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), row)
    nothing = jnp.zeros((), jnp.int32)
    return {"rows": rows, "priority": jnp.zeros(capacity), "next": nothing, "filled": nothing}


def add(replay: Replay, rows: Any) -> Replay:
    """With rows [number, ...] in place of the oldest, at the highest priority there is."""
    capacity, number = len(replay["priority"]), len(jax.tree.leaves(rows)[0])
    index = (replay["next"] + jnp.arange(number)) % capacity
    highest = jnp.where(replay["filled"] > 0, replay["priority"].max(), 1.0)
    return {
        "rows": jax.tree.map(lambda old, new: old.at[index].set(new), replay["rows"], rows),
        "priority": replay["priority"].at[index].set(highest),
        "next": (replay["next"] + number) % capacity,
        "filled": jnp.minimum(replay["filled"] + number, capacity),
    }


def draw(
    replay: Replay, rng: jax.Array, number: int, correction: float
) -> tuple[Any, jax.Array, jax.Array]:
    """(rows [number, ...], their places int32, their weights float32) by priority, with replacement.

    Args:
        correction: beta of the paper, eq. 2: 1 makes up for all that uneven drawing distorts.
    """
    total = jnp.cumsum(replay["priority"])
    # One of each of `number` equal parts of the sum, as in the paper's appendix B.2.1.
    parts = jnp.arange(number, dtype=jnp.float32)
    marks = (parts + jax.random.uniform(rng, (number,))) / number * total[-1]
    index = jnp.searchsorted(total, marks, side="right")
    index = jnp.minimum(index, jnp.maximum(replay["filled"] - 1, 0)).astype(jnp.int32)
    chance = replay["priority"][index] / total[-1]
    weights = (replay["filled"].astype(jnp.float32) * chance) ** -correction
    rows = jax.tree.map(lambda x: x[index], replay["rows"])
    return rows, index, weights / weights.max()


def surprise(replay: Replay, index: jax.Array, errors: jax.Array, exponent: float) -> Replay:
    """With the priorities (|error| + SMALL)^exponent at these places; an exponent of 0 draws evenly."""
    priority = (jnp.abs(errors) + SMALL) ** exponent
    return {**replay, "priority": replay["priority"].at[index].set(priority)}
