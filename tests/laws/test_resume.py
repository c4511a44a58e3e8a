"""Law 3: stopped and resumed equals never stopped, bit for bit."""

import json

import pytest

from bigmodel_jax import preemption
from tests.laws.harness import ALL, assert_same_bits, costly, saved_arrays, train

# What measures time differs between two runs of the same numbers.
TIMED = ("steps_per_second", "examples_per_second", "input_wait")


def rows(workdir):
    lines = [json.loads(x) for x in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.endswith(TIMED)} for row in lines]


@pytest.mark.parametrize("name", costly(ALL))
def test_stopped_and_resumed_equals_never_stopped(name, tmp_path, data_dir, monkeypatch):
    config = {**ALL[name](), "duration": "12 steps", "log_every": "4 steps"}
    straight = train(config, tmp_path / "straight", data_dir=data_dir)
    assert int(straight.step) == 12

    # In the middle of a logging window, so that half-summed metrics must survive too.
    monkeypatch.setattr(preemption.Preemption, "requested", lambda self, step: step == 6)
    stopped = train(config, tmp_path / "stopped", data_dir=data_dir)
    assert int(stopped.step) == 6
    monkeypatch.undo()
    train(config, tmp_path / "stopped", data_dir=data_dir)

    assert_same_bits(
        saved_arrays(tmp_path / "stopped", 12), saved_arrays(tmp_path / "straight", 12)
    )
    assert rows(tmp_path / "stopped") == rows(tmp_path / "straight")
