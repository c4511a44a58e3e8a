"""Law 3 with real processes: killed at random moments, the run still ends with the same bits."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from bigmodel_jax.checkpoint import all_steps
from tests.laws.harness import assert_same_bits, saved_arrays

COMMAND = [
    sys.executable, "-m", "bigmodel_jax.main", "--config=configs/imdb.py:lstm,tiny",
    "--config.duration=40 steps", "--config.log_every=5 steps", "--config.checkpoint.every=2 steps",
]  # fmt: skip


def start(workdir, data_dir):
    command = [*COMMAND, f"--workdir={workdir}", f"--data_dir={data_dir}"]
    environment = {**os.environ, "XLA_FLAGS": "", "BIGMODEL_ALLOCATOR": "default"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def wait_for_a_checkpoint(process, workdir, beyond=0):
    while process.poll() is None:
        folder = workdir / "checkpoints"
        steps = all_steps(folder) if folder.is_dir() else []
        if max(steps, default=0) > beyond:
            return max(steps)
        time.sleep(0.005)
    return max(all_steps(workdir / "checkpoints"), default=0)


def test_sigkill_at_random_moments_changes_no_bit(tmp_path, data_dir):
    finish(start(tmp_path / "straight", data_dir))
    rng, reached = random.Random(os.getpid()), 0
    for _ in range(3):
        process = start(tmp_path / "killed", data_dir)
        reached = wait_for_a_checkpoint(process, tmp_path / "killed", reached)
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    output = finish(start(tmp_path / "killed", data_dir))
    assert "going on from step" in output
    assert_same_bits(saved_arrays(tmp_path / "killed", 40), saved_arrays(tmp_path / "straight", 40))


def test_sigterm_saves_and_exits_cleanly(tmp_path, data_dir):
    process = start(tmp_path / "run", data_dir)
    wait_for_a_checkpoint(process, tmp_path / "run")
    process.send_signal(signal.SIGTERM)
    output = finish(process)
    if "Done:" not in output:  # it may have been at its end already
        assert "Asked to stop: saved step" in output
    step = max(all_steps(tmp_path / "run" / "checkpoints"))
    assert "going on from step" in finish(start(tmp_path / "run", data_dir)) and step >= 2


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(10))
def test_many_more_random_kills(trial, tmp_path, data_dir):
    test_sigkill_at_random_moments_changes_no_bit(tmp_path, data_dir)
