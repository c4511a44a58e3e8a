"""`python -m bigmodel_jax.reproduce`: what passes, what does not and why, what fits a budget."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bigmodel_jax import reproduce
from bigmodel_jax.errors import UserError
from bigmodel_jax.reproducing import bands, causes, expected, running
from bigmodel_jax.reproducing.running import Outcome

ENVIRONMENT = {
    "packages": {"bigmodel_jax": "0.1.0", "jax": "0.10.2"},
    "devices": ["cpu"],
    "cpu_cores": 2,
    "processor": "AMD EPYC 9R14",
    "commit": "adc7f74cadf3816c138d34ff4d2534d86b2a3930",
    "diff": "",
}


def outcome(seed=0, value=0.9786, **changes):
    config = {"data": {"fingerprint": "137d", "reader": {"name": "tfds_images"}}}
    return Outcome(seed, value, 0.25, config, {"data": "mnist"}, {**ENVIRONMENT, **changes})


def recorded(*outcomes):
    command = "python -m bigmodel_jax.main --config=configs/mnist.py:mlp,seed=SEED"
    return expected.entry("test/accuracy", command, outcomes, "2026-12-01")


def test_the_band_covers_a_new_run_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = rng.normal(0.9, 0.01, (4000, 5))
    inside = [bands.band(seeds[:3].tolist(), 2).holds(seeds[3:].mean()) for seeds in draws]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)
    # By hand: t with 2 degrees of freedom at 97.5 % is 4.303.
    found = bands.band([1.0, 2.0, 3.0])
    assert found.high == pytest.approx(2 + 4.303 * np.sqrt(4 / 3), abs=1e-3)


def test_where_no_spread_is_known_a_share_of_the_value_is_allowed():
    for values, why in (([40.0], "one seed"), ([40.0, 40.0], "seeds that do not differ")):
        found = bands.band(values)
        assert (found.low, found.high) == pytest.approx((39.6, 40.4)) and why in found.rule


def test_causes_are_what_differs_from_the_recorded_run(monkeypatch):
    monkeypatch.setattr(causes, "_changed_code", lambda commit: 0)
    result = recorded(outcome())
    assert causes.causes(result, outcome()) == []
    other = outcome(devices=["NVIDIA H200"], packages={"jax": "0.11.0"}, diff="+x")
    other.config["data"]["fingerprint"] = "other"
    data, device, versions, code = causes.causes(result, other)
    assert "137d -> other" in data and "AMD EPYC 9R14, CPU -> NVIDIA H200" in device
    assert "jax 0.10.2 -> 0.11.0" in versions and "not committed" in code
    del result["machine"]  # of before 2026-11-29
    assert len(causes.causes(result, other)) == 4 and causes.causes(result, outcome()) == []


def test_a_new_result_carries_what_is_known_of_it_and_is_read_again(tmp_path):
    result = recorded(outcome(0), outcome(1, 0.979))
    assert result["device"] == "2 cores of AMD EPYC 9R14, CPU" and result["std"] > 0
    assert result["machine"]["devices"] == ["cpu"] and "python" not in result["machine"]
    config = tmp_path / "mnist.py"
    expected.write(config, "mlp", result)
    expected.write(config, "cnn", {**result, "values": {"0": 0.99}})
    (found,) = expected.find(config, "mlp")
    assert found.content == result and found.spread() == "97.88 +- 0.03"
    assert found.arg(3) == "mlp,seed=3" and len(expected.find(config, "")) == 2
    with pytest.raises(UserError, match="has no result of 'mpl'. Did you mean 'mlp'"):
        expected.find(config, "mpl")


def test_runs_that_nobody_can_have_again_or_that_differ_are_not_recorded():
    with pytest.raises(UserError, match="not committed"):
        recorded(outcome(diff="+x"))
    with pytest.raises(UserError, match="differ in their commit"):
        recorded(outcome(), outcome(1, commit="other"))


def options(**given):
    usual = dict(config=None, seeds=1, all=False, quick="", record=False, metric="", runs=[])
    return SimpleNamespace(**{**usual, "workdir": "runs", "readme": "", "data_dir": None, **given})


@pytest.fixture
def played(monkeypatch):
    """Runs that cost nothing: each gives what `values` says of its config; `ran` lists them."""
    values, ran = {}, []
    monkeypatch.setattr(running, "run", lambda config, arg, *_: ran.append(f"{config.name}:{arg}"))
    monkeypatch.setattr(running, "finished", lambda *_: False)
    monkeypatch.setattr(running, "read", lambda *_: outcome(value=values.get(ran[-1], 0.9786)))
    return values, ran


def result(name, minutes, **changes):
    return expected.Expected(
        Path(name), "mlp", {**recorded(outcome()), "minutes": minutes, **changes}
    )


def test_a_budget_takes_the_cheapest_and_says_what_it_leaves(played, capsys):
    values, ran = played
    chosen = [result("a.py", [1.0, 3.0]), result("b.py", [7.0]), result("c.py", [9.0])]
    assert reproduce.within(60 * 8, chosen, options())
    assert ran == ["a.py:mlp,seed=0", "b.py:mlp,seed=0"]
    out = capsys.readouterr().out
    assert out.count("pass: ") == 2 and "skipped: c.py:mlp took 9.0 minutes then, and 8.0" in out
    assert "97.86 % (seed 0), expected 96.88 % to 98.84 % (1% of the value, of one seed)" in out
    assert "the recorded value, to its last digit" in out
    with pytest.raises(UserError, match="Nothing fits"):
        reproduce.within(1, chosen, options(quick="1s"))
    values["a.py:mlp,seed=0"] = 0.5
    assert not reproduce.within(600, chosen[:1], options())
    assert re.search(r"FAIL: a.py:mlp .*\n  probable cause: ", capsys.readouterr().out)


def test_bad_flags_are_refused_in_one_sentence():
    for given, message in (
        ({}, "one of the three"),
        ({"config": "x", "all": True}, "one of the three"),
        ({"all": True, "record": True}, "--record is for --config"),
        ({"config": "x", "quick": "9m"}, "--quick is for --all"),
    ):
        with pytest.raises(UserError, match=message):
            reproduce.reproduce(options(**given))
    assert reproduce._seconds("1.5m") == 90 and reproduce._seconds("") == float("inf")
    with pytest.raises(UserError, match="no time such as 90s"):
        reproduce._seconds("soon")


@pytest.mark.slow
def test_mnist_is_reproduced(tmp_path):
    data = os.environ.get("BIGMODEL_TEST_DATA")
    if not data:
        pytest.skip("BIGMODEL_TEST_DATA is not set")
    module, flag = [sys.executable, "-m"], f"--data_dir={tmp_path / 'data'}"
    source = next(p.parent for p in Path(data).rglob("train-images-idx3-ubyte*"))
    prepare = [*module, "bigmodel_jax.prepare", "mnist", f"--from={source}", flag]
    subprocess.run(prepare, check=True)
    command = [*module, "bigmodel_jax.reproduce", "--config=configs/mnist.py:mlp", flag]
    environment = {**os.environ, "XLA_FLAGS": ""}
    done = subprocess.run(
        [*command, f"--workdir={tmp_path}"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "pass: mnist.py:mlp test/accuracy" in done.stdout, done.stderr
    assert json.loads((tmp_path / "mnist-mlp-seed=0" / "config.json").read_text())["seed"] == 0
