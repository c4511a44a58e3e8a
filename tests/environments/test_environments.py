"""Environments in JAX against gymnasium's: the same states and actions lead to the same places."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.config import build

KINDS = {"cartpole": "CartPole-v1", "acrobot": "Acrobot-v1", "pendulum": "Pendulum-v1"}


@pytest.mark.parametrize("name", KINDS)
def test_trajectories_are_those_of_gymnasium(name):
    gymnasium = pytest.importorskip("gymnasium")
    ours, theirs = build("environments", {"name": name}), gymnasium.make(KINDS[name])
    assert (ours.limit, ours.observation_shape) == (
        theirs.spec.max_episode_steps,
        theirs.observation_space.shape,
    )
    discrete = ours.num_actions is not None
    assert not discrete or ours.num_actions == theirs.action_space.n
    step, observe, rng = jax.jit(ours.step), jax.jit(ours.observe), np.random.default_rng(0)
    ended = 0
    for episode in range(3):
        theirs.reset(seed=episode)
        state = ours.reset(jax.random.key(episode))
        # As wild as it gets, so that speeds and angles meet their limits.
        wild = 1.0 if name == "cartpole" else 3.0 * (episode > 0)
        state["place"] += wild * rng.normal(size=state["place"].shape).astype(np.float32) / 5
        for _ in range(200):
            theirs.unwrapped.state = np.asarray(state["place"], np.float64)
            action = rng.integers(ours.num_actions) if discrete else 3 * rng.normal(size=1)
            action = np.int32(action) if discrete else action.astype(np.float32)
            state, reward, terminated, truncated = step(state, action, jax.random.key(0))
            observation, their_reward, their_end, their_time, _ = theirs.step(
                int(action) if discrete else action
            )
            np.testing.assert_allclose(observe(state), observation, rtol=1e-5, atol=1e-5)
            assert float(reward) == pytest.approx(their_reward, rel=1e-5)
            assert (bool(terminated), bool(truncated)) == (their_end, their_time)
            if terminated or truncated:
                ended += 1
                break
    assert ended or name == "acrobot"


@pytest.mark.parametrize("name", KINDS)
def test_an_episode_begins_within_gymnasiums_bounds_and_ends_at_its_limit(name):
    ours = build("environments", {"name": name})
    places = jax.vmap(ours.reset)(jax.random.split(jax.random.key(0), 1000))["place"]
    high = {"cartpole": 0.05, "acrobot": 0.1, "pendulum": np.array([np.pi, 1.0])}[name]
    assert np.all(np.abs(places) <= high) and np.all(np.abs(places).max(0) > 0.98 * high)
    late = {**ours.reset(jax.random.key(0)), "time": jnp.int32(ours.limit - 1)}
    action = jnp.int32(0) if ours.num_actions else jnp.zeros(1)
    assert ours.step(late, action, jax.random.key(0))[3]
    assert ours.draw(jax.device_get(late)).shape == (200, 200, 3)


def test_bitcells_pay_for_what_is_cleared_and_end_with_the_last():
    ours = build("environments", {"name": "bitcells", "cells": 3, "shift": 1, "limit": 4})
    state, rewards, ends = ours.reset(jax.random.key(0)), [], []
    for action in (2, 2, 0, 1):
        state, reward, terminated, truncated = ours.step(state, jnp.int32(action), None)
        rewards.append(float(reward))
        ends.append((bool(terminated), bool(truncated)))
    assert rewards == [1, -1, 1, 1] and ends == [(False, False)] * 3 + [(True, True)]
    assert ours.draw(jax.device_get(state)).shape == (40, 120, 3)
