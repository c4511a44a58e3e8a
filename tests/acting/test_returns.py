"""Returns and advantages against loops in NumPy."""

import numpy as np
import pytest

from bigmodel_jax.acting import returns

GAMMA, LAM = 0.9, 0.8


@pytest.fixture(scope="module")
def moves():
    """Three worlds, nine steps: some terminate, some run out of time, some just go on."""
    rng = np.random.default_rng(0)
    reward, value, next_value = rng.normal(size=(3, 3, 9)).astype(np.float32)
    terminated = rng.random((3, 9)) < 0.2
    truncated = ~terminated & (rng.random((3, 9)) < 0.2)
    assert terminated.any() and truncated.any()
    return reward, value, next_value, terminated, terminated | truncated


def test_advantages_are_sums_of_discounted_errors_until_the_episode_ends(moves):
    reward, value, next_value, terminated, over = moves
    found = returns.gae(*moves, GAMMA, LAM)
    for world in range(3):
        for start in range(9):
            wanted = 0.0
            for t in range(start, 9):
                later = 0.0 if terminated[world, t] else next_value[world, t]
                error = reward[world, t] + GAMMA * later - value[world, t]
                wanted += (GAMMA * LAM) ** (t - start) * error
                if over[world, t]:
                    break
            assert found[world, start] == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_returns_end_with_the_episode_and_are_whole_where_its_end_was_seen(moves):
    reward, _, _, _, over = moves
    found, seen = returns.to_go(reward, over, GAMMA)
    for world in range(3):
        for start in range(9):
            ends = [t for t in range(start, 9) if over[world, t]]
            steps = range(start, (ends[0] if ends else 8) + 1)
            wanted = sum(GAMMA ** (t - start) * reward[world, t] for t in steps)
            assert found[world, start] == pytest.approx(wanted, rel=1e-4, abs=1e-5)
            assert seen[world, start] == bool(ends)
    assert not np.all(seen)
