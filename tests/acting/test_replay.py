"""Prioritised replay against a deque and the formulas of its paper."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.acting import replay


def filled(count, capacity=10):
    """(a memory that has seen `count` rows, what a deque holds of them)."""
    memory = replay.create({"x": jax.ShapeDtypeStruct((2,), jnp.float32)}, capacity)
    held = deque(maxlen=capacity)
    for start in range(0, count, 3):
        rows = np.stack([np.arange(start, start + 3)] * 2, -1).astype(np.float32)
        memory = replay.add(memory, {"x": jnp.asarray(rows)})
        held.extend(rows[:, 0])
    return memory, held


def test_the_oldest_rows_make_room():
    for count in (3, 9, 12, 30):
        memory, held = filled(count)
        assert int(memory["filled"]) == len(held)
        kept = np.asarray(memory["rows"]["x"])[: len(held), 0]
        assert sorted(kept) == sorted(held)


def test_rows_are_drawn_by_priority_and_weighted_against_it():
    memory, held = filled(6)
    errors = np.array([0.0, 0.1, 0.5, 1.0, 2.0, 4.0], np.float32)
    memory = replay.surprise(memory, jnp.arange(6), jnp.asarray(-errors), 0.6)
    chance = (errors + replay.SMALL) ** 0.6
    chance /= chance.sum()
    rows, index, weights = replay.draw(memory, jax.random.key(0), 4000, 0.4)
    shares = np.bincount(index, minlength=10) / 4000
    np.testing.assert_allclose(shares[:6], chance, atol=2e-3)
    assert shares[6:].sum() == 0  # of what was never filled
    wanted = (len(held) * chance[np.asarray(index)]) ** -0.4
    np.testing.assert_allclose(weights, wanted / wanted.max(), rtol=1e-3)
    np.testing.assert_array_equal(rows["x"][:, 0], np.array(held)[np.asarray(index)])


def test_new_rows_come_at_the_highest_priority_and_none_draws_evenly():
    memory, _ = filled(6)
    memory = replay.surprise(memory, jnp.arange(6), jnp.full(6, 7.0), 1.0)
    memory = replay.add(memory, {"x": jnp.zeros((1, 2))})
    np.testing.assert_allclose(memory["priority"][6], 7.0 + replay.SMALL)
    even = replay.surprise(memory, jnp.arange(7), jnp.arange(7.0), 0.0)
    _, index, weights = replay.draw(even, jax.random.key(0), 700, 1.0)
    assert np.bincount(index).tolist() == [100] * 7 and np.all(weights == 1)
