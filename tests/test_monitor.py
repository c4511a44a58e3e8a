"""Early stopping and plateaus count evaluations, and NaN is never better."""

import math

import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.monitor import Monitor, Plateau


def feed(monitor, values):
    return [monitor.update(i, {monitor.metric: v}) for i, v in enumerate(values)]


def test_the_best_is_kept_and_patience_runs_out():
    monitor = Monitor("val/accuracy", "max", patience=2)
    assert feed(monitor, [0.5, 0.7, 0.7, 0.6]) == [True, True, False, False]
    assert (monitor.best, monitor.best_step, monitor.exhausted) == (0.7, 1, True)


def test_lower_is_better_where_it_is_said():
    assert feed(Monitor("val/loss", "min"), [0.5, 0.7, 0.4]) == [True, False, True]


def test_nan_is_never_the_best():
    monitor = Monitor("val/loss", "min", patience=3)
    assert feed(monitor, [math.nan, 2.0, math.nan, 3.0]) == [False, True, False, False]
    assert monitor.best == 2.0


def test_patience_zero_never_stops():
    monitor = Monitor("val/loss", "min")
    feed(monitor, [1.0] * 50)
    assert not monitor.exhausted


def test_it_survives_json():
    monitor = Monitor("val/loss", "min", patience=3)
    feed(monitor, [1.0, 2.0])
    assert Monitor(**monitor.to_json()) == monitor


@pytest.mark.parametrize(
    "options, complaint",
    [
        (dict(patience=0), "patience must be 1 or more"),
        (dict(patience=1, factor=2.0), "factor is 2.0"),
    ],
)
def test_a_plateau_that_could_not_act_is_refused(options, complaint):
    with pytest.raises(UserError, match=complaint):
        Plateau("val/loss", "min", **options)


def test_a_metric_that_is_not_there_is_named():
    with pytest.raises(UserError, match="Did you mean 'val/accuracy'"):
        Monitor("val/acuracy").update(1, {"val/accuracy": 1.0})
