"""Stochastic depth: whole examples, at the rate that was asked for, and no bias."""

import jax
import numpy as np

from bigmodel_jax.nn.drop_path import DropPath, rates


def test_an_example_is_dropped_whole_or_scaled_and_the_mean_stays():
    x = np.ones((4000, 2, 3), np.float32)
    y = np.asarray(DropPath().apply({}, x, 0.2, True, rngs={"dropout": jax.random.key(0)}))
    assert set(np.unique(y)) == {0.0, 1.25}
    assert (y == y[:, :1, :1]).all() and abs(y.mean() - 1) < 0.02


def test_nothing_is_dropped_at_rate_0_or_after_training():
    x = np.ones((4, 2), np.float32)
    assert DropPath().apply({}, x, 0.0, True) is x and DropPath().apply({}, x, 0.5, False) is x


def test_rates_grow_in_equal_steps_from_0():
    np.testing.assert_allclose(rates(0.3, 4), [0, 0.1, 0.2, 0.3])
    assert rates(0.3, 1) == [0.0]
