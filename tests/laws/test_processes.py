"""Law 4 with real processes: two processes see and compute what one does."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from tests.laws.harness import saved_arrays

SCRIPT = """
import json, sys, jax
address, count, index, workdir, data_dir, mesh, duration = sys.argv[1:]
if int(count) > 1:
    jax.distributed.initialize(address, int(count), int(index))
from configs import imdb
from bigmodel_jax.train import train
config = imdb.get_config("lstm,tiny").to_dict()
data = config["data"]
data["reader"] = data.pop("candidates")[0]  # named outright: several processes take no substitute
del data["strict"]
config |= dict(mesh=json.loads(mesh), duration=duration, log_every="4 steps", optimizer=dict(name="sgd", lr=0.1))
config["evals"]["val"]["every"] = "4 steps"
train(config, workdir, data_dir=data_dir, allow_changed_config=True)  # goes on, now for longer
"""


def launch(count, devices, workdir, data_dir, mesh, duration="8 steps", fails=False):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                SCRIPT,
                address,
                str(count),
                str(i),
                str(workdir),
                data_dir,
                mesh,
                duration,
            ],
            env={**os.environ, **flags},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(count)
    ]
    outputs = [p.communicate(timeout=240)[0] for p in processes]
    assert all((p.returncode != 0) == fails for p in processes), "\n".join(outputs)
    return outputs


def metrics(workdir):
    """Each number of metrics.jsonl by its step and name, without those that measure time."""
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    kept = ("loss", "accuracy", "grad_norm", "f1")
    return {(row["step"], k): x for row in rows for k, x in row.items() if k.endswith(kept)}


# In the second, a tensor axis spans the processes: both must read the same rows.
@pytest.mark.parametrize(
    "mesh", ['{"data": -1}', pytest.param('{"data": 1, "tensor": 4}', marks=pytest.mark.slow)]
)
def test_two_processes_agree_with_one_that_goes_on_from_their_checkpoint(mesh, tmp_path):
    # A cold cache for each: two processes that make it at once must not trip over one another.
    launch(1, 4, tmp_path / "one", str(tmp_path / "cache_one"), mesh)
    two = tmp_path / "two"
    outputs = launch(2, 2, two, str(tmp_path / "cache_two"), mesh, "4 steps")
    assert "Done:" in outputs[0] and "Done:" not in outputs[1]  # one process writes
    again = launch(1, 4, two, str(tmp_path / "cache_one"), mesh)
    assert "going on from step 4" in again[0]
    found, expected = metrics(two), metrics(tmp_path / "one")
    assert {
        (4, "synthetic_reviews/val/loss"),
        (8, "synthetic_reviews/train/loss"),
    } <= expected.keys()
    assert {k: found[k] for k in expected} == pytest.approx(expected, rel=1e-5)
    arrays = saved_arrays(tmp_path / "one", 8), saved_arrays(two, 8)
    for path, value in arrays[0].items():
        assert arrays[1][path] == pytest.approx(value, rel=1e-4, abs=1e-6), path


def test_when_process_0_stops_all_stop_at_once(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("not a run")
    begun = time.monotonic()
    outputs = launch(2, 1, tmp_path / "run", str(tmp_path / "cache"), '{"data": -1}', fails=True)
    assert "is not empty and holds no config.json" in outputs[0]
    assert "Process 0 stopped; it says why." in outputs[1]
    assert time.monotonic() - begun < 60


@pytest.mark.slow
def test_the_local_launcher_runs_the_same_command_in_several_processes(tmp_path):
    launcher = [sys.executable, "launch/local.py", "--processes=2", "--devices_per_process=2"]
    arguments = [
        "--config=configs/imdb.py:lstm,tiny",
        "--config.duration=2 steps",
        f"--workdir={tmp_path / 'run'}",
        f"--data_dir={tmp_path / 'data'}",
    ]
    dry = subprocess.run(
        [*launcher, "--dry_run", "--", *arguments], capture_output=True, text=True, check=True
    )
    assert len(dry.stdout.splitlines()) == 2 and "BIGMODEL_PROCESS=1" in dry.stdout
    done = subprocess.run([*launcher, "--", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "on 4 cpu devices" in done.stdout and done.stdout.count("Done:") == 1
    bad = subprocess.run(
        [*launcher, "--", *arguments, "--config.seed=1"], capture_output=True, text=True
    )
    assert bad.returncode == 1 and "seed: 0 -> 1" in bad.stderr and "process 1" in bad.stderr
