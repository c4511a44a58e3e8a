"""Laws 3 and 4 for launched processes: one killed, one asked to stop, another number of them goes on."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bigmodel_jax.checkpoint import all_steps
from tests.laws.harness import assert_same_bits, saved_arrays

STEPS = 60
DEVICES = 4  # of all processes together, so that their number changes nothing but who computes what


def newest(workdir):
    return max(all_steps(workdir / "checkpoints"), default=0)


def started(workdir, processes, *words):
    """launch/local.py, once it has saved a new checkpoint; and the ids of its processes."""
    before = newest(workdir)
    command = [
        sys.executable, "launch/local.py", f"--processes={processes}",
        f"--devices_per_process={DEVICES // processes}", "--config=configs/imdb.py:lstm,tiny",
        f"--workdir={workdir}", *words, "--", f"--data_dir={workdir.parent / 'data'}",
        f"--config.duration={STEPS} steps", "--config.checkpoint.every=5 steps",
        f"--config.checkpoint.keep={STEPS}", "--config.log_every=5 steps", "--stopped_exit_code=75",
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


def finished(workdir, processes):
    """Runs to the end; (arrays of the last checkpoint, training losses by step)."""
    launcher, _ = started(workdir, processes)
    output = launcher.communicate(timeout=240)[0]
    assert launcher.returncode == 0 and "Done:" in output, output
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    losses = {row["step"]: row["train/loss"] for row in rows if "train/loss" in row}
    return saved_arrays(workdir, STEPS), losses


def killed(workdir, processes, index, delay=0.0):
    """Kills a process after a new checkpoint: the others end, and say why."""
    launcher, ids = started(workdir, processes)
    time.sleep(delay)
    os.kill(ids[index], signal.SIGKILL)
    begun = time.monotonic()
    output = launcher.communicate(timeout=60)[0]
    assert launcher.returncode == 137 and time.monotonic() - begun < 20, output
    assert f"process {index} of {processes} was killed by SIGKILL" in output
    assert f"error: Process {index} was killed" in output  # says one of those that were left
    assert "Traceback" not in output
    return time.monotonic() - begun


def largest_difference(first, second):
    assert first.keys() == second.keys()
    return max(float(np.abs(first[path] - second[path]).max()) for path in first)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """`straight(processes)`: a run that nothing stopped, with all its checkpoints; made once."""
    folder, made = tmp_path_factory.mktemp("straight"), {}

    def run(processes):
        workdir = folder / str(processes)
        if processes not in made:
            made[processes] = finished(workdir, processes)
        return workdir, *made[processes]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("processes, index", [(2, 0), (2, 1), (4, 0), (4, 2)])
def test_one_killed_ends_the_others_and_the_restarted_run_has_the_same_bits(
    processes, index, straight, tmp_path
):
    killed(tmp_path / "run", processes, index)
    launcher, ids = started(tmp_path / "run", processes, "--restarts=1")
    os.kill(ids[1 - index % 2], signal.SIGKILL)
    output = launcher.communicate(timeout=240)[0]
    again = f"starting all {processes} processes again"
    assert launcher.returncode == 0 and again in output, output
    assert "going on from step" in output
    assert_same_bits(saved_arrays(tmp_path / "run", STEPS), straight(processes)[1])


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["one of 2", "one of 4", "the launcher of 2"])
def test_sigterm_to_one_saves_on_all(whom, tmp_path):
    launcher, ids = started(tmp_path / "run", int(whom[-1]), "--restarts=1")
    os.kill(launcher.pid if "launcher" in whom else ids[-1], signal.SIGTERM)
    output = launcher.communicate(timeout=60)[0]
    assert "Asked to stop: saved step" in output, output
    assert launcher.returncode == 75 and "starting all" not in output
    assert f"saved step {newest(tmp_path / 'run')};" in output


@pytest.mark.slow
@pytest.mark.parametrize("before, after", [(2, 1), (4, 2), (1, 2)])
def test_another_number_of_processes_goes_on_with_the_same_losses(
    before, after, straight, tmp_path
):
    launcher, ids = started(tmp_path / "run", before)
    os.kill(ids[0], signal.SIGTERM)
    output = launcher.communicate(timeout=60)[0]
    assert launcher.returncode == 75, output
    arrays, losses = finished(tmp_path / "run", after)
    _, expected, without_a_stop = straight(before)
    assert losses == pytest.approx(without_a_stop, rel=1e-5)
    far = largest_difference(arrays, expected)
    print(f"{before} -> {after} processes: parameters and moments differ by {far:.2g} at most")
    assert far < 1e-4


@pytest.mark.slow
def test_a_preempted_job_of_4_is_killed_twice_and_finished_by_2(straight, tmp_path):
    """The same bits while four compute, and again from where two go on; in between, rounding."""
    seed = random.randrange(10_000)
    rng, run = random.Random(seed), tmp_path / "run"
    print(f"\nseed {seed}")
    for _ in range(2):
        index, delay = rng.randrange(4), rng.uniform(0, 1)
        took = killed(run, 4, index, delay)
        print(
            f"process {index} killed after step {newest(run)} was saved; all ended in {took:.1f} s"
        )
    step = newest(run)
    four, arrays_of_four, _ = straight(4)
    assert_same_bits(saved_arrays(run, step), saved_arrays(four, step))
    # The same counts of processes without a kill: four to this step, two from it.
    shutil.copytree(four, tmp_path / "calm")
    for later in (s for s in all_steps(four / "checkpoints") if s > step):
        shutil.rmtree(tmp_path / "calm" / "checkpoints" / str(later))
    arrays, losses = finished(run, 2)
    calm, losses_of_calm = finished(tmp_path / "calm", 2)
    assert_same_bits(arrays, calm)
    assert losses == losses_of_calm
    for name, other in (("4 processes", arrays_of_four), ("1 process", straight(1)[1])):
        far = largest_difference(arrays, other)
        print(f"against {name}, never stopped: {far:.2g} at most")
        assert far < 1e-4
