"""Two runs example by example: tests against closed forms, and runs that may not be compared so."""

import json
import math

import numpy as np
import pytest

from bigmodel_jax.ablations import by_example, comparing
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals import bootstrap
from tests import made_run


@pytest.mark.parametrize("first, other", [(0, 0), (3, 11), (11, 3), (7, 7), (0, 6), (40, 61)])
def test_mcnemars_p_is_the_sum_of_both_tails_of_the_binomial(first, other):
    n = first + other
    ways = [math.comb(n, k) for k in range(n + 1)]
    expected = sum(w for w in ways if w <= ways[first]) / 2**n  # those no more likely than this
    assert by_example.mcnemar(first, other) == pytest.approx(expected, rel=1e-9)


def test_the_paired_bootstrap_is_near_the_normal_interval_of_the_differences():
    rng = np.random.default_rng(0)
    hard = rng.normal(size=2000) * 5
    first, other = hard + rng.normal(size=2000), hard + 0.1 + rng.normal(size=2000)
    change = other - first
    low, high, p = bootstrap.paired(first, other)
    half = 1.96 * change.std(ddof=1) / math.sqrt(2000)
    assert (low, high) == pytest.approx(
        (change.mean() - half, change.mean() + half), abs=0.1 * half
    )
    z = change.mean() / change.std(ddof=1) * math.sqrt(2000)
    assert p == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), abs=0.01)
    assert (low, high) == bootstrap.bootstrap(change)
    assert bootstrap.paired(first, first) == (0, 0, 1)


@pytest.fixture
def two(tmp_path):
    """Two runs that erred on other examples, of one config but for the learning rate."""
    for i, name in enumerate(("first", "other")):
        run = made_run.make(tmp_path / name)
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps({**config, "ema": 0.1 * i}))
        result = json.loads((run / "results/test.json").read_text())
        result["metrics"]["accuracy"] = 0.5
        (run / "results/test.json").write_text(json.dumps(result))
        rng, labels = np.random.default_rng(i), made_run.details("binary")["labels"]
        said = np.where(rng.random(200) < 0.7 + 0.2 * i, labels, 1 - labels)
        arrays = {"labels": labels, "probabilities": np.eye(2, dtype=np.float32)[said]}
        np.savez(run / "results/test.npz", **arrays)
    return [tmp_path / "first", tmp_path / "other"]


def test_compare_says_of_two_runs_how_often_one_alone_is_right(two, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    comparing.perform([str(path) for path in two], "test/accuracy")
    said = capsys.readouterr().out
    right = [
        held["probabilities"].argmax(-1) == held["labels"]
        for held in (np.load(path / "results/test.npz") for path in two)
    ]
    only = [int((right[i] & ~right[1 - i]).sum()) for i in (0, 1)]
    row = next(line for line in said.splitlines() if "│ +0." in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[0] == "other" and cells[3:5] == [str(n) for n in only]
    assert cells[1] == f"{right[1].mean() - right[0].mean():+.4f}" and cells[-1] == "higher"
    assert "McNemar" in said and "same 200 examples" in said


def test_runs_on_other_examples_are_refused_and_what_is_missing_is_told(two, capsys):
    file = two[1] / "results/test.npz"
    held = dict(np.load(file))
    np.savez(file, **{**held, "labels": 1 - held["labels"]})
    with pytest.raises(UserError, match="other examples, for their labels differ"):
        comparing.perform([str(path) for path in two], "test/accuracy")
    np.savez(file, **{key: x[:150] for key, x in held.items()})
    with pytest.raises(UserError, match="other examples, 200 and 150"):
        comparing.perform([str(path) for path in two], "test/accuracy")
    file.unlink()
    comparing.perform([str(path) for path in two], "test/accuracy")
    assert f"evaluate --workdir={two[1]} --split=test" in capsys.readouterr().out


def test_of_answers_to_questions_the_metric_asked_for_is_compared_and_the_f1_in_place_of_a_loss():
    one = {"exact": np.float32([1, 0, 1, 0]), "f1": np.float32([1, 0.5, 1, 0])}
    other = {"exact": np.float32([1, 1, 1, 1]), "f1": np.float32([1, 1, 1, 1])}
    assert by_example.compare(one, other, "exact")[0::6] == ("exact", (0, 2))
    found = by_example.compare(one, other, "loss")
    assert (found.metric, found.difference, found.only) == ("f1", 0.375, None)
