"""`python -m bigmodel_jax.verify`: it finds what is planted, and says so; laws with real processes."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bigmodel_jax.verifying import comparing, evaluated, laws, stepping, stopped
from bigmodel_jax.verifying.parent import stand_in
from bigmodel_jax.verifying.subject import Subject
from tests.laws.harness import ALL, CONFIGS, shipped, subject
from tests.strains import batch_norm

APART = ("repeated", "killed", "processes")
FAULTS = "tests.strains.faults"
FAULTY = """
from ml_collections import ConfigDict
from tests.strains import batch_norm

def get_config(arg=None):
    return ConfigDict(batch_norm.config(task=dict(name="tests.strains.faults")))
"""


# One of the strains, whose programs compile in no time; test_kill.py and test_processes.py have a config.
@pytest.mark.parametrize(
    "name",
    ["batch_norm", *(pytest.param(n, marks=pytest.mark.slow) for n in ALL if n != "batch_norm")],
)
def test_laws_with_processes_of_their_own_hold(name, tmp_path, data_dir):
    verdicts = list(laws.verify(subject(name, data_dir, tmp_path), APART))
    assert [laws.line(v) for v in verdicts if not v.fine] == []
    silent = [v.law for v in verdicts if v.word == "does not apply"]
    assert silent == (["processes"] if name == "actor" else [])


def test_a_task_that_reads_the_clock_is_found_by_the_command(tmp_path):
    (tmp_path / "configs").mkdir()
    config = tmp_path / "configs" / "faulty.py"
    config.write_text(FAULTY)
    command = [sys.executable, "-m", "bigmodel_jax.verify", f"--config={config}"]
    command += ["--laws=stopped,scan,repeated", f"--json={tmp_path / 'laws.json'}"]
    done = subprocess.run(
        [*command, f"--data_dir={tmp_path}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "0 laws hold, 1 do not apply, 2 fail." in done.stdout
    found = {row["law"]: row for row in json.loads((tmp_path / "laws.json").read_text())["laws"]}
    assert found["stopped"]["verdict"] == found["repeated"]["verdict"] == "FAILS"
    assert found["stopped"]["difference"] > 0 == found["stopped"]["tolerance"]
    assert found["scan"]["compared"].endswith("has no option scan")


def test_a_source_that_counts_its_calls_is_found(tmp_path, data_dir):
    config = batch_norm.config(data=dict(name=FAULTS, batch_size=32))
    finding = stopped.check(Subject(config, data_dir, tmp_path))
    assert not finding.holds and finding.where


def test_an_evaluator_that_counts_a_short_batch_for_more_is_found(tmp_path, data_dir):
    config = shipped("mnist", "mlp,tiny")()
    config["evals"] = dict(val=dict(name=FAULTS, split="train"))
    finding = evaluated.check(Subject(config, data_dir, tmp_path, steps=2))
    assert not finding.holds and finding.where == "loss"


def test_a_run_that_starts_from_another_gets_a_stand_in(tmp_path, data_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no runs/ here
    config = shipped("imdb_finetune", "labels=50,tiny")()
    found, note = stand_in(config, data_dir, tmp_path)
    assert note.startswith("runs/imdb_mlm is not there: configs/imdb_mlm.py:tiny")
    assert Subject(found, data_dir, tmp_path).config["model"]["name"] == "bert"
    assert stand_in(CONFIGS["mnist"](), data_dir, tmp_path)[1] is None


def test_the_same_bits_are_the_same_bits():
    a = {"x": np.float32([0.0, 1.0]), "n": np.float32([np.nan])}
    assert comparing.bits(a, {k: v.copy() for k, v in a.items()}) == (0.0, "")
    assert comparing.bits(a, {**a, "x": np.float32([-0.0, 1.0])})[0] > 0
    assert comparing.bits(a, {**a, "x": np.float32([0.0, 1.5])}) == (0.5, "x")
    assert comparing.bits(a, {**a, "n": np.float32([1.0])}) == (np.inf, "n")
    assert comparing.bits(a, {"x": a["x"]})[0] == np.inf


def test_what_is_not_a_number_breaks_every_law():
    step = stepping.Descent(1.0, {"x": np.ones(2)}, {}, {})
    model = {"model": {"dtype": "bfloat16"}}
    assert stepping.compared("", step, step, model).holds
    for other in (
        step._replace(loss=np.nan),
        step._replace(gradient={"x": np.float32([np.nan, 1])}),
    ):
        assert not stepping.compared("", step, other, model).holds
    finding = stepping.compared("", step, step._replace(loss=1.02), model)
    assert finding.holds and finding.compared.endswith("in bfloat16") and finding.tolerance == 3e-2
    assert not stepping.compared("", step, step._replace(loss=1.02), {"model": {}}).holds
