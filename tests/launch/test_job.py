"""What all launchers share: the same words for the same things, and sentences for mistakes."""

import subprocess
import sys

import pytest

from tests.launch.played import ROOT

RUN = ("--config=configs/imdb.py:lstm", "--workdir=/mnt/shared/runs/imdb")
SIZES = {
    "local": ("--processes=2",),
    "slurm": ("--nodes=2",),
    "gke": ("--accelerator=tpu-v6e-slice", "--topology=4x4", "--image=i", "--claim=c"),
    "tpu_pod": ("--type=v6e-16", "--zone=z", "--nfs=10.0.0.2:/share"),
}


@pytest.mark.parametrize("launcher", SIZES)
def test_a_dry_run_shows_the_run_and_calls_nothing(launcher, stage):
    for name in ("sbatch", "kubectl", "gcloud"):
        stage.play(name)
    before = set(stage.folder.iterdir())
    words = (*SIZES[launcher], *RUN, "--dry_run", "--", "--config.duration=2 epochs")
    done = stage.launch(launcher, *words)
    assert done.returncode == 0, done.stderr
    for word in ("bigmodel_jax.main", *RUN, "--config.duration=2 epochs"):
        assert word in done.stdout
    assert not stage.log.exists() and set(stage.folder.iterdir()) == before


@pytest.mark.parametrize(
    "launcher, words, sentence",
    [
        ("slurm", ("--nodes=2",), "--config=configs/NAME.py says what to train"),
        ("slurm", ("--nodes=0", *RUN), "--nodes must be at least 1"),
        ("slurm", ("--nodes=1", "--seeds=1-3", *RUN), "with commas between"),
        ("slurm", ("--nodes=1", "--name=Run 1", *RUN), "'run-1' would be"),
        ("gke", (*SIZES["gke"], RUN[0], "--workdir=runs/a"), "must lie under /mnt/shared/"),
        ("gke", (*SIZES["gke"], "--gpus_per_node=8", *RUN), "give one of the two"),
        ("gke", (*SIZES["gke"], "--topology=16", *RUN), "is not like 4x4"),
        ("tpu_pod", (*SIZES["tpu_pod"], "--type=tpu-7", *RUN), "say its --runtime_version"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_called(launcher, words, sentence, stage):
    done = stage.launch(launcher, *words, "--dry_run")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_launchers_need_no_package():
    script = f"import sys; sys.path.insert(0, {str(ROOT / 'launch')!r}); import local, slurm, gke, tpu_pod"
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True)
    assert done.returncode == 0, done.stderr  # -S: without site-packages
