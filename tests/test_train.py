"""What the loop promises beyond the laws: early stopping, plateaus, averages, logs that add up."""

import json

import numpy as np
import pytest

from bigmodel_jax.checkpoint import all_steps
from bigmodel_jax.train import train
from tests.laws.harness import CONFIGS


class Scripted:
    """An evaluator whose numbers are given, so that stopping can be checked against them."""

    def __init__(self, values, every="2 steps"):
        self.values, self.every, self.seen = list(values), every, []

    def run(self, variables):
        self.seen.append(np.asarray(variables["params"]["head"]["bias"]).copy())
        return {"score": self.values[len(self.seen) - 1]}


@pytest.fixture
def run(tmp_path, data_dir, monkeypatch):
    """Trains the tiny LSTM with scripted "val" and "test" evaluators; (rows, val, test, folder)."""

    def go(values, **changes):
        val, test = Scripted(values), Scripted([0.0], every="end")
        made = {"val": val, "test": test}
        from bigmodel_jax import train as module

        monkeypatch.setattr(module, "build", lambda kind, spec, **_: made[spec["name"]])
        config = {
            **CONFIGS["imdb-lstm"](),
            "duration": "20 steps",
            "log_every": "2 steps",
            **changes,
        }
        config["evals"] = {k: {"name": k, "every": v.every} for k, v in made.items()}
        train(config, tmp_path / "run", data_dir=data_dir)
        lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
        rows = [
            {k.removeprefix("synthetic_reviews/"): v for k, v in json.loads(line).items()}
            for line in lines
        ]
        return rows, val, test, tmp_path / "run"

    return go


def stopping(**options):
    return {"early_stopping": dict(metric="val/score", mode="max", **options)}


def test_early_stopping_tests_the_best_parameters_and_keeps_them(run):
    rows, val, test, folder = run([1, 5, 4, 3, 2, 9], **stopping(patience=3))
    assert max(row["step"] for row in rows) == 10  # three evaluations after the best
    np.testing.assert_array_equal(test.seen[0], val.seen[1])
    assert sorted(all_steps(folder / "checkpoints")) == [4, 10]
    result = json.loads((folder / "results" / "test.json").read_text())
    assert result["chosen"] == "step 4, the best by val/score"


def test_without_patience_the_run_goes_to_its_end_and_still_tests_the_best(run):
    rows, val, test, _ = run([1, 9, 4, 3, 2, 1, 1, 1, 1, 1], **stopping())
    assert max(row["step"] for row in rows) == 20
    np.testing.assert_array_equal(test.seen[0], val.seen[1])


def test_a_plateau_lowers_the_learning_rate_from_the_next_step_on(run):
    plateau = dict(metric="val/score", mode="max", patience=2, factor=0.1)
    optimizer = dict(name="sgd", lr=1.0)
    changes = dict(reduce_on_plateau=plateau, optimizer=optimizer, early_stopping={}, ema=0.0)
    rows, *_ = run([5, 4, 3, 2, 1, 0, 0, 0, 0, 0], **changes)
    rates = {r["step"]: r["train/learning_rate"] for r in rows if "train/learning_rate" in r}
    assert rates[6] == pytest.approx(1.0) and rates[8] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(0.1) and rates[12] == pytest.approx(0.01)


def test_evaluation_sees_the_average_of_the_parameters(run):
    _, slow, _, _ = run([0] * 10, early_stopping={}, ema=0.9999)
    # Decay at most (1 + t) / (10 + t): by step 2 most of the start is gone, by 20 little moves.
    assert np.abs(slow.seen[-1]).max() > 0


def test_the_log_counts_every_step_and_says_what_input_cost(run):
    rows, *_ = run([0] * 10, early_stopping={})
    logged = [r for r in rows if "train/loss" in r]
    assert [r["step"] for r in logged] == list(range(2, 21, 2))
    for row in logged:
        assert 0 <= row["train/input_wait"] <= 1 and row["train/grad_norm"] > 0
        assert row["train/epoch"] == row["step"] / 18


def test_nan_in_the_data_is_found_and_named_by_step_key_and_row(tmp_path, monkeypatch):
    from bigmodel_jax.errors import UserError
    from tests.strains import batch_norm, toy_data

    clean = toy_data.Source.batch

    def spoilt(self, step):
        batch = clean(self, step)
        if step == 6:
            batch["x"][3, 1] = np.nan
        return batch

    monkeypatch.setattr(toy_data.Source, "batch", spoilt)
    with pytest.raises(
        UserError, match="'x' of the batch of step 7 holds NaN or infinity in row 3"
    ):
        train(batch_norm.config(), tmp_path / "run")
    assert sorted(all_steps(tmp_path / "run" / "checkpoints")) == [4]
