"""Schedules at the points where their closed forms are known."""

import numpy as np
import pytest

from bigmodel_jax import schedules
from bigmodel_jax.durations import Clock, seconds
from bigmodel_jax.errors import UserError

CLOCK = Clock(steps_per_epoch=25, batch_size=4, total=100)


@pytest.mark.parametrize(
    "spec, points",
    [
        (dict(name="constant"), {0: 2.0, 50: 2.0, 200: 2.0}),
        (dict(name="linear"), {0: 2.0, 50: 1.0, 100: 0.0, 150: 0.0}),
        (dict(name="linear", end=0.5), {0: 2.0, 100: 1.0}),
        (dict(name="cosine"), {0: 2.0, 50: 1.0, 25: 1 + np.sqrt(0.5), 100: 0.0}),
        (dict(name="rsqrt", timescale=25), {0: 2.0, 75: 1.0}),
        (dict(name="step", at=(0.5, 0.75)), {0: 2.0, 49: 2.0, 50: 0.2, 75: 0.02}),
        (dict(name="exponential", end=0.01), {0: 2.0, 50: 0.2, 100: 0.02}),
        (dict(name="linear", warmup="20%"), {0: 0.1, 9: 1.0, 19: 2.0, 20: 2.0, 60: 1.0, 100: 0.0}),
        (dict(warmup=10), {0: 0.2, 9: 2.0, 99: 2.0}),
    ],
)
def test_a_schedule_goes_through_its_points(spec, points):
    schedule = schedules.build(spec, 2.0, CLOCK)
    for count, value in points.items():
        np.testing.assert_allclose(schedule(np.int32(count)), value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "duration, steps",
    [("10 epochs", 250), ("1 epoch", 25), ("7 steps", 7), (7, 7), ("5%", 5), ("8 examples", 2),
     ("0.5 epochs", 13), ("3e2 steps", 300), ("1_000 steps", 1000)],
)  # fmt: skip
def test_durations_are_counted_in_steps(duration, steps):
    assert CLOCK.steps(duration, "config.duration") == steps


@pytest.mark.parametrize("duration", ["ten epochs", "5 lightyears", "3 tokens", "", "-1 steps"])
def test_a_duration_without_meaning_is_named(duration):
    with pytest.raises(UserError, match="config.duration"):
        CLOCK.steps(duration, "config.duration")


def test_durations_in_time_are_seconds():
    assert seconds("10 minutes", "x") == 600 and seconds("2 hours", "x") == 7200
    assert seconds("5 steps", "x") is None
