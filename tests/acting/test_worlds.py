"""Worlds side by side: they begin anew when they are over, and what is told of each episode is so."""

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.acting import playing, worlds
from bigmodel_jax.environments import bitcells

ENVIRONMENT = bitcells.Environment(cells=3, limit=5)


def by_loop(actions):
    """The transitions of one world, by a loop over single steps."""
    state, total, rows = ENVIRONMENT.reset(None), 0.0, []
    for action in actions:
        seen = np.asarray(state["cells"])
        state, reward, terminated, truncated = ENVIRONMENT.step(state, action, None)
        total += float(reward)
        rows.append((seen, float(reward), bool(terminated), bool(truncated), state["cells"], total))
        if terminated or truncated:
            state, total = ENVIRONMENT.reset(None), 0.0
    return rows


def test_moves_are_those_of_a_loop():
    actions = np.random.default_rng(0).integers(0, 3, (20, 4))
    world, rows = worlds.begin(ENVIRONMENT, 4), []

    @jax.jit
    def move(world, now):
        return worlds.move(ENVIRONMENT, world, lambda seen, rng: now, jax.random.key(0))

    for now in actions:
        world, row = move(world, now)
        rows.append(row)
    names = ("observation", "reward", "terminated", "truncated", "next_observation", "return")
    ends = set()
    for i in range(4):
        for row, wanted in zip(rows, by_loop(actions[:, i]), strict=True):
            for name, value in zip(names, wanted, strict=True):
                np.testing.assert_array_equal(row[name][i], value)
            ends.add(wanted[2:4])
    assert {(False, False), (True, False), (False, True)} <= ends


def test_an_episode_is_counted_once_however_long_the_others_are():
    def choose(observation, rng):  # the first world clears all, the second one cell for ever
        first = jnp.argmax(observation[0])
        return jnp.stack([first, 0])

    found, lengths = jax.jit(lambda key: playing.play(ENVIRONMENT, choose, 2, key))(
        jax.random.key(0)
    )
    assert found.tolist() == [3.0, 1.0 - 4.0] and lengths.tolist() == [3, 5]
