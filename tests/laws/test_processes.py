"""Law 4 with real processes: two processes see and compute what one does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bigmodel_jax.checkpoint import all_steps
from tests.laws.harness import assert_same_bits, saved_arrays

SCRIPT = """
import json, sys, jax
address, count, index, workdir, data_dir, mesh = sys.argv[1:]
if int(count) > 1:
    jax.distributed.initialize(address, int(count), int(index))
from configs import imdb
from bigmodel_jax.train import train
config = imdb.get_config("lstm,tiny").to_dict()
data = config["data"]
data["reader"] = data.pop("candidates")[0]  # named outright: several processes take no substitute
del data["strict"]
config |= dict(mesh=json.loads(mesh), duration="8 steps", log_every="4 steps", optimizer=dict(name="sgd", lr=0.1))
train(config, workdir, data_dir=data_dir)
"""


def launch(count, devices, workdir, data_dir, mesh, fails=False):
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


def rows(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


# In the second, a tensor axis spans the processes: both must read the same rows.
@pytest.mark.parametrize(
    "mesh", ['{"data": -1}', pytest.param('{"data": 1, "tensor": 4}', marks=pytest.mark.slow)]
)
def test_two_processes_agree_with_one(mesh, tmp_path):
    # A cold cache for each: two processes that make it at once must not trip over one another.
    launch(1, 4, tmp_path / "one", str(tmp_path / "cache_one"), mesh)
    outputs = launch(2, 2, tmp_path / "two", str(tmp_path / "cache_two"), mesh)
    assert "Done:" in outputs[0] and "Done:" not in outputs[1]  # one process writes
    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert [row["step"] for row in one] == [row["step"] for row in two]
    for a, b in zip(one, two, strict=True):
        for key in a:
            if key.endswith(("loss", "accuracy", "grad_norm", "f1")):
                assert b[key] == pytest.approx(a[key], rel=1e-5), key
    arrays = saved_arrays(tmp_path / "one", 8), saved_arrays(tmp_path / "two", 8)
    for path, value in arrays[0].items():
        assert arrays[1][path] == pytest.approx(value, rel=1e-4, abs=1e-6), path
    # The finished run of two processes can be opened by one.
    again = launch(1, 4, tmp_path / "two", str(tmp_path / "cache_one"), mesh)
    assert "going on from step 8" in again[0]


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


def newest(workdir):
    return max(all_steps(workdir / "checkpoints"), default=0)


def started(workdir, data_dir, *words):
    """launch/local.py with two processes, once they have saved a new checkpoint; and their ids."""
    before = newest(workdir)
    command = [
        sys.executable, "launch/local.py", "--processes=2", *words, "--config=configs/imdb.py:lstm,tiny",
        f"--workdir={workdir}", "--", f"--data_dir={data_dir}", "--config.duration=60 steps",
        "--config.checkpoint.every=5 steps", "--config.log_every=5 steps",
        "--stopped_exit_code=75",
    ]  # fmt: skip
    launcher = subprocess.Popen(
        command,
        env={**os.environ, "BIGMODEL_ALLOCATOR": "default"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while newest(workdir) <= before:
        assert launcher.poll() is None, launcher.communicate()[0]
        time.sleep(0.01)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
    return launcher, [int(number) for number in children.read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_one_killed_ends_the_others_and_the_restarted_run_has_the_same_bits(index, tmp_path):
    straight, _ = started(tmp_path / "straight", tmp_path / "data")
    output = straight.communicate(timeout=240)[0]
    assert straight.returncode == 0, output
    launcher, processes = started(tmp_path / "killed", tmp_path / "data")
    os.kill(processes[index], signal.SIGKILL)
    begun = time.monotonic()
    output = launcher.communicate(timeout=60)[0]
    assert launcher.returncode == 137 and time.monotonic() - begun < 20, output
    assert f"process {index} of 2 was killed by SIGKILL" in output
    assert f"error: Process {index} was killed" in output  # says the one that was left
    launcher, processes = started(tmp_path / "killed", tmp_path / "data", "--restarts=1")
    os.kill(processes[1 - index], signal.SIGKILL)
    output = launcher.communicate(timeout=240)[0]
    assert launcher.returncode == 0 and "starting all 2 processes again" in output, output
    assert "going on from step" in output
    assert_same_bits(*(saved_arrays(tmp_path / name, 60) for name in ("killed", "straight")))


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["one of the processes", "the launcher"])
def test_sigterm_to_one_saves_on_all(whom, tmp_path):
    launcher, processes = started(tmp_path / "run", tmp_path / "data", "--restarts=1")
    os.kill(processes[1] if whom == "one of the processes" else launcher.pid, signal.SIGTERM)
    output = launcher.communicate(timeout=60)[0]
    assert "Asked to stop: saved step" in output, output
    assert launcher.returncode == 75 and "starting all" not in output
    assert f"saved step {newest(tmp_path / 'run')};" in output
