"""Sums and weights merge exactly; padding weighs nothing."""

import jax.numpy as jnp
import numpy as np

from bigmodel_jax.metrics import Sums, mean


def test_means_of_uneven_parts_merge_to_the_mean_of_the_whole():
    values = np.arange(10.0, dtype=np.float32)
    sums = Sums()
    for part in (values[:3], values[3:4], values[4:]):
        sums.add({"x": mean(part)})
    assert sums.means() == {"x": 4.5}


def test_padding_weighs_nothing_even_if_it_is_nan():
    values = jnp.array([1.0, jnp.nan, 3.0])
    found = mean(values, jnp.array([True, False, True]))
    assert float(found.total) == 4.0 and float(found.weight) == 2.0


def test_a_name_without_weight_is_left_out():
    sums = Sums()
    sums.add({"x": mean(jnp.ones(3), jnp.zeros(3)), "y": mean(jnp.ones(3))})
    assert sums.means() == {"y": 1.0}


def test_stacked_rows_of_k_steps_add_up():
    one, other = mean(jnp.array([1.0, 2.0])), mean(jnp.array([6.0]))
    stacked = type(one)(jnp.stack([one.total, other.total]), jnp.stack([one.weight, other.weight]))
    sums = Sums()
    sums.add({"x": stacked})
    assert sums.means() == {"x": 3.0}


def test_a_window_survives_json():
    sums = Sums()
    sums.add({"x": mean(jnp.array([0.1, 0.2]))})
    assert Sums.from_json(sums.to_json()).means() == sums.means()
