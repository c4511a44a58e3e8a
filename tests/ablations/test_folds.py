"""Cross-validation: the config of each fold, and the report over folds."""

import json
from pathlib import Path

import numpy as np
import pytest

from bigmodel_jax import config as configs
from bigmodel_jax.ablations import ablation, folds, running, statistics
from bigmodel_jax.ablations.config_file import ConfigFile
from bigmodel_jax.errors import UserError
from configs import mnist
from tests.ablations.test_ablation import options

ACCURACY = {1: 0.75, 2: 0.5, 3: 0.875}


def given(arg):
    return configs.complete(mnist.get_config(arg).to_dict())


def test_a_fold_is_val_the_others_are_train_and_test_is_not_read():
    made = folds.config({**given("tiny,val"), "seed": 5}, 2, 3)
    train, val = "train[not fold 2/3 seed 5]", "train[fold 2/3 seed 5]"
    assert made["data"]["splits"] == {"val": val, "train": train}
    assert list(made["evals"]) == ["val"]
    with pytest.raises(UserError, match="no evaluator of the config looks at the split 'val'"):
        folds.config(given("tiny"), 2, 3)


def measured(config, workdir, *, on_evaluation, **_):
    """In place of training: an accuracy for each fold, less where the learning rate is large."""
    folder = Path(workdir)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    fold = int(config["data"]["splits"]["val"].removeprefix("train[fold ")[0])
    row = {"val/accuracy": ACCURACY[fold] - (config["optimizer"]["lr"] > 0.1) * 0.01 * fold}
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 4, "train/loss": 1.0, **row}) + "\n")


def test_the_report_is_over_folds_and_pairs_them(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "train", measured)
    file = ConfigFile("configs/mnist.py:tiny,val", given("tiny,val"), {})
    asked = options(folds=3, diff=["fast: optimizer.lr=0.5"])
    ablation.perform(file, tmp_path, asked, str(tmp_path / "data"))
    text = (tmp_path / "report.md").read_text()
    header = "| variant | folds | mean | std | 95 % interval | fold 1 | fold 2 | fold 3 |"
    assert header in text and "2 variants of configs/mnist.py:tiny,val" in text
    assert "3 folds each: 6 finished. By val/accuracy, each measured on the fold" in text
    values = list(ACCURACY.values())
    assert f"| baseline | 3 | {np.mean(values):.4f} | {np.std(values, ddof=1):.4f} |" in text
    lower = dict(enumerate([-0.01, -0.02, -0.03], 1))
    expected = statistics.paired(lower, dict.fromkeys(lower, 0.0), statistics.folds(3))
    assert (
        f"| fast | -0.0200 | {expected.low:+.4f} to {expected.high:+.4f} | {expected.p:.3f} |"
        in text
    )
    assert "fold by fold" in text and "Nadeau and Bengio" in text
    assert (tmp_path / "trials/fast/fold-3/config.json").is_file()


def test_folds_and_seeds_are_not_both_repeated():
    file = ConfigFile("configs/mnist.py:tiny,val", given("tiny,val"), {})
    for wrong in (dict(folds=3, seeds=2), dict(folds=1)):
        with pytest.raises(UserError, match="has 2 folds or more, and one seed"):
            ablation.plan(file, Path("."), options(**wrong))
