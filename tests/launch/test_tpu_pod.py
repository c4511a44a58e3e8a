"""launch/tpu_pod.py, against a played gcloud: what it asks for, and what it does when it is taken away."""

import signal
import subprocess
import sys
import tarfile
import time

import pytest

from tests.launch.played import ROOT

WORDS = (
    "--type=v5litepod-16", "--zone=z", "--nfs=10.0.0.2:/share", "--poll=0",
    "--config=configs/imdb.py:lstm", "--workdir=/mnt/shared/imdb",
)  # fmt: skip
# The n-th `describe` answers the n-th state, or that there is none; the n-th run ends with a code.
GCLOUD = """
verb, text = words[3], ' '.join(words)
if verb == 'describe':
    state = {states}[sum(call[3] == 'describe' for call in seen)]
    if not state: sys.exit('ERROR: NOT_FOUND: Resource was not found')
    print(state)
elif verb == 'scp':
    import shutil; shutil.copy(words[4], 'staged.tar.gz')
elif verb == 'ssh' and 'bigmodel_jax.main' in text:
    sys.exit({codes}[sum('bigmodel_jax.main' in ' '.join(call) for call in seen)])
"""
ABSENT = ""


def launched(stage, states, codes, *words):
    """(what it ended with, the verbs of the calls but `describe`, the launcher's own)."""
    stage.play("gcloud", GCLOUD.format(states=states, codes=codes))
    done = stage.launch("tpu_pod", *WORDS, *words)
    return done, verbs(stage)


def verbs(stage):
    calls = [call for call in stage.calls("gcloud") if call[3] != "describe"]
    return ["run" if "bigmodel_jax.main" in " ".join(call) else call[3] for call in calls]


def test_it_creates_waits_stages_installs_runs_and_deletes(stage):
    coming = [ABSENT, "CREATING", "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]
    done, called = launched(stage, coming, [0], "--spot")
    assert done.returncode == 0, done.stderr
    assert called == ["create", "scp", "ssh", "run", "delete"]
    create, *_ = stage.calls("gcloud")[1:]
    assert create == [
        "compute", "tpus", "queued-resources", "create", "imdb", "--zone=z", "--node-id=imdb",
        "--accelerator-type=v5litepod-16", "--runtime-version=v2-alpha-tpuv5-lite", "--spot",
    ]  # fmt: skip
    with tarfile.open(stage.folder / "staged.tar.gz") as tar:
        names = set(tar.getnames())
    assert {"bigmodel_jax/main.py", "configs/imdb.py", "requirements.lock"} <= names
    assert not any(name.startswith((".git/", ".venv")) for name in names)


def test_all_hosts_of_all_slices_run_at_once(stage):
    done, _ = launched(stage, [ABSENT, "ACTIVE"], [0], "--slices=2", "--", "--config.seed=1")
    assert done.returncode == 0, done.stderr
    create, run = stage.calls("gcloud")[1], stage.calls("gcloud")[-2]
    assert "--node-count=2" in create and "--node-prefix=imdb" in create
    assert {"--worker=all", "--node=all", "--batch-size=all"} <= set(run)
    assert run[-1].endswith(
        "exec .venv/bin/python -m bigmodel_jax.main --config=configs/imdb.py:lstm "
        "--workdir=/mnt/shared/imdb --config.seed=1 --stopped_exit_code=75"
    )


@pytest.mark.parametrize("code, after", [(75, "ACTIVE"), (255, "SUSPENDED"), (75, "SUSPENDING")])
def test_a_tpu_that_is_taken_away_is_asked_for_again(code, after, stage):
    first, again = [ABSENT, "ACTIVE", after], [after, "ACTIVE"]
    done, called = launched(stage, first + again, [code, 0], "--spot")
    assert done.returncode == 0, done.stderr
    renewed = [] if after == "ACTIVE" else ["delete", "create"]
    once = ["scp", "ssh", "run"]
    assert called == ["create", *once, *renewed, *once, "delete"]


def test_one_that_is_taken_away_before_it_is_there_is_asked_for_again(stage):
    states = [ABSENT, "PROVISIONING", "SUSPENDED", "SUSPENDED", "ACTIVE"]
    done, called = launched(stage, states, [0])
    assert done.returncode == 0 and called[:3] == ["create", "delete", "create"]


def test_a_run_that_fails_starts_again_as_often_as_it_may(stage):
    done, called = launched(stage, [ABSENT] + ["ACTIVE"] * 9, [1, 3], "--restarts=1", "--keep")
    assert done.returncode == 3
    assert called == ["create"] + ["scp", "ssh", "run"] * 2  # --keep: not deleted


def test_a_request_that_fails_says_so_and_is_deleted(stage):
    done, called = launched(stage, [ABSENT, "FAILED"], [])
    assert done.returncode == 1 and "cannot be had" in done.stderr
    assert called == ["create", "delete"]


def test_ctrl_c_lets_the_run_save_and_stop(stage):
    wait = "while not os.path.exists('stopped'): __import__('time').sleep(0.02)\n    "
    answer = GCLOUD.format(states=[ABSENT, "ACTIVE"], codes=[75])
    answer = answer.replace("sys.exit([75]", f"open('running', 'w')\n    {wait}sys.exit([75]")
    stage.play("gcloud", answer + "elif 'kill -TERM' in text: open('stopped', 'w')\n")
    launcher = subprocess.Popen(
        [sys.executable, str(ROOT / "launch" / "tpu_pod.py"), *WORDS],
        cwd=stage.folder,
        env=stage.environment(),
    )
    while not (stage.folder / "running").exists():
        time.sleep(0.02)
        assert launcher.poll() is None
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(timeout=60) == 75
    assert verbs(stage) == ["create", "scp", "ssh", "run", "ssh", "delete"]
    stop = stage.calls("gcloud")[-2]
    assert stop[-3:] == ["--node=0", "--worker=0", "--command=kill -TERM $(cat bigmodel_jax/pid)"]
