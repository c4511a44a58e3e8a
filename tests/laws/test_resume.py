"""Law 3: stopped and resumed equals never stopped, bit for bit."""

import json

import pytest

from bigmodel_jax import preemption
from bigmodel_jax.pace import TIMED
from tests.laws.harness import ALL, assert_same_bits, costly, saved_arrays, train


def rows(workdir):
    """Of metrics.jsonl, without what measures time, which differs between runs of the same numbers."""
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
