"""The range test: curves whose answer is known, and a run whose rate rises as it should."""

import json

import numpy as np
import pytest

from bigmodel_jax import config, summary
from bigmodel_jax.ablations import lr_range
from bigmodel_jax.errors import UserError
from tests.strains import batch_norm


def curve(points=400):
    """A loss that falls along a logistic around 1e-3, and rises with the rate's square root from 0.1."""
    rates = np.geomspace(1e-6, 100, points)
    fall = 2 / (1 + np.exp(-3 * np.log10(rates / 1e-3)))
    return rates, 2.5 - fall + 2 * np.sqrt(np.maximum(rates - 0.1, 0))


def test_it_finds_where_a_known_loss_falls_most_and_where_it_is_lowest():
    rates, losses = curve()
    noisy = losses + 0.02 * np.random.default_rng(0).normal(size=len(rates))
    for given in (losses, noisy):
        found = lr_range.look(rates, given)
        assert found.steepest == pytest.approx(1e-3, rel=0.6)
        assert 0.03 < found.lowest < 0.2
        assert found.rates[-1] < 100 and found.smooth[-1] < losses[-1]  # what diverged is left out
    assert "falls fastest at a rate of" in lr_range.in_words(found)[0]


def test_a_test_without_enough_losses_says_why():
    rates, losses = curve(10)
    with pytest.raises(UserError, match="has 10 losses, and needs 20.*loss is not finite"):
        lr_range.look(rates, losses, "The loss is not finite at step 11.")
    given = config.complete(batch_norm.config(repeat=4))
    with pytest.raises(UserError, match="are 10 dispatches.*--steps=80"):
        lr_range.ranged(given, 1e-3, 1.0, 40)
    with pytest.raises(UserError, match="rises from one above 0"):
        lr_range.ranged(given, 1.0, 1e-3, 100)


def test_the_rate_of_a_run_rises_by_one_factor_until_its_loss_is_no_number(tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "_report", lambda run: None)
    given = config.complete(batch_norm.config())
    given["evals"] = {"val": dict(name="loss", split="val", every="4 steps")}
    found = lr_range.perform(given, tmp_path / "run", str(tmp_path), 1e-3, 1e30, 132)
    assert len(found.rates) >= lr_range.FEWEST and (tmp_path / "run/lr_range.png").is_file()
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert not any(key.startswith("val/") for row in rows for key in row) and len(rows) < 132
    rates = [row["train/learning_rate"] for row in rows]
    np.testing.assert_allclose(rates, 1e-3 * 10 ** (0.25 * np.arange(len(rows))), rtol=1e-4)
