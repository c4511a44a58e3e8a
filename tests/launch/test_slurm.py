"""launch/slurm.py: the batch script is sound, and its end decides whether the job queues again."""

import re
import shutil
import subprocess

import pytest

RUN = ("--config=configs/imdb.py:lstm", "--workdir=/scratch/a b/imdb")
# The options of sbatch that may be in a script, from its manual page (Slurm 26.11).
KNOWN = {
    "job-name", "nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "time", "partition",
    "account", "array", "signal", "open-mode", "output", "requeue", "qos",
}  # fmt: skip


def script(stage, *words):
    """What a dry run shows between the script's name and the command that submits it."""
    done = stage.launch("slurm", "--nodes=2", *RUN, "--dry_run", *words)
    assert done.returncode == 0, done.stderr
    head, *lines, submit = done.stdout.splitlines()
    assert head == "# slurm/imdb.sbatch" and submit == "+ sbatch slurm/imdb.sbatch"
    return "\n".join(lines) + "\n"


def directives(text):
    found = re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", text, re.MULTILINE)
    assert len(found) == text.count("#SBATCH") and {k for k, _ in found} <= KNOWN
    return dict(found)


def test_one_task_a_gpu_or_one_a_node_without(stage):
    gpus = directives(script(stage, "--gpus_per_node=4", "--time=1:00:00", "--sbatch=--qos=low"))
    assert gpus["nodes"] == "2" and gpus["ntasks-per-node"] == gpus["gpus-per-node"] == "4"
    assert gpus["time"] == "1:00:00" and gpus["qos"] == "low"
    assert gpus["signal"] == "TERM@90" and "requeue" in gpus
    cpus = directives(script(stage))
    assert cpus["ntasks-per-node"] == "1" and "gpus-per-node" not in cpus and "time" not in cpus


@pytest.mark.parametrize("words", [(), ("--seeds=0,1,2", "--restarts=3", "--gpus_per_node=8")])
def test_the_script_is_sound(words, stage):
    text = script(stage, *words, "--", "--config.duration=2 epochs")
    assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed: it comes with the extra [test]")
    done = subprocess.run(["shellcheck", "-"], input=text, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "code, restarted, requeued",
    [(0, 0, False), (75, 9, True), (1, 0, True), (1, 2, False), (137, 1, True)],
)
def test_the_job_queues_again_while_the_run_is_not_at_its_end(code, restarted, requeued, stage):
    stage.play("srun", f"sys.exit({code})")
    stage.play("scontrol")
    stage.play(
        "sbatch",
        "os.environ.update(SLURM_JOB_ID='17', "
        f"SLURM_RESTART_COUNT='{restarted}')\nos.execvp('bash', ['bash', words[0]])",
    )
    done = stage.launch("slurm", "--nodes=2", "--restarts=2", *RUN)
    assert f"exit code {code}" in done.stderr if code else done.returncode == 0, done.stderr
    assert stage.calls("scontrol") == ([["requeue", "17"]] if requeued else [])
    (call,) = stage.calls("srun")
    assert call[0] == "--kill-on-bad-exit=0" and call[2:4] == ["-m", "bigmodel_jax.main"]
    assert call[4:] == [*RUN, "--stopped_exit_code=75"]


def test_seeds_are_an_array_of_runs_of_their_own(stage):
    stage.play("srun")
    stage.play(
        "sbatch", "os.environ['SLURM_ARRAY_TASK_ID'] = '2'\nos.execvp('bash', ['bash', words[0]])"
    )
    done = stage.launch("slurm", "--nodes=1", "--seeds=0,2", *RUN)
    assert done.returncode == 0, done.stderr
    assert directives((stage.folder / "slurm" / "imdb.sbatch").read_text())["array"] == "0,2"
    assert stage.calls("srun")[0][-2:] == ["--config.seed=2", "--workdir=/scratch/a b/imdb-seed=2"]


def test_trials_are_an_array_of_an_ablation(stage):
    stage.play("srun")
    stage.play(
        "sbatch", "os.environ['SLURM_ARRAY_TASK_ID'] = '5'\nos.execvp('bash', ['bash', words[0]])"
    )
    grid = "--grid=optimizer.lr=1e-2,3e-2"
    done = stage.launch("slurm", "--nodes=1", "--trials=0-5%2", *RUN, "--", grid, "--seeds=3")
    assert done.returncode == 0, done.stderr
    assert directives((stage.folder / "slurm" / "imdb.sbatch").read_text())["array"] == "0-5%2"
    (call,) = stage.calls("srun")
    assert call[2:] == [
        "-m",
        "bigmodel_jax.ablate",
        *RUN,
        grid,
        "--seeds=3",
        "--stopped_exit_code=75",
        "--only_trial=5",
    ]
    done = stage.launch("slurm", "--nodes=1", "--gpus_per_node=8", "--trials=0", *RUN)
    assert "one process" in done.stderr
    assert "as of sbatch --array" in stage.launch("slurm", "--nodes=1", "--trials=all", *RUN).stderr
