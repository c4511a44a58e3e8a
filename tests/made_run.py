"""Directories of runs that were never trained: every kind of target, made-up arrays, nasty texts."""

import json
from pathlib import Path

import numpy as np

from bigmodel_jax.config import DEFAULTS
from bigmodel_jax.reports import mistakes
from bigmodel_jax.rundir import RunDir

NASTY = (
    "<script>document.title = 'run'</script> | a *b* `c` [d](e) $x$ \x1b[31m 很好\r\nA new line."
)
KINDS = {
    "binary": ["neg", "pos"],
    "six": ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"],
    "chinese": ["体育", "财经", "科技"],
    "odd names": ["a|b", "$\\frac", "<b>", "a" * 60],
    "labels": ["toxic", "obscene", "threat"],
    "number": ["value"],
}


class Texts:
    def texts(self, indices):
        return [f"{NASTY} Number {i}." for i in indices]


class Evaluated:
    """What is left of an evaluator: details, and a source of texts."""

    def __init__(self, details):
        self.details, self.source = details, Texts()


def details(kind: str, n: int = 200, seed: int = 0) -> dict:
    """An evaluator's details of a model that is right more often than not."""
    rng = np.random.default_rng(seed)
    names = KINDS[kind] if kind in KINDS else [f"class {i}" for i in range(int(kind))]
    common = {"examples": n, "label_names": names, "lengths": rng.integers(1, 90, n, np.int32)}
    if kind == "number":
        labels = rng.normal(size=n).astype(np.float32)
        values = (labels + rng.normal(size=n) / 3).astype(np.float32)
        return {**common, "values": values, "labels": labels}
    scores = rng.normal(size=(n, len(names)))
    if kind == "labels":
        labels = (rng.random(scores.shape) < 0.3).astype(np.float32)
        probabilities = 1 / (1 + np.exp(-scores - 3 * labels + 1.5))
    else:
        labels = rng.integers(0, len(names), n).astype(np.int32)
        scores[np.arange(n), labels] += 1.5
        probabilities = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    return {**common, "probabilities": probabilities.astype(np.float32), "labels": labels}


def make(folder: Path, kind: str = "binary", arrays: bool = True) -> Path:
    """A finished run's directory, but for its checkpoints."""
    with RunDir(folder) as run:
        data = {"name": "text", "reader": {"name": "files"}, "splits": {"train": "train[:90%]"}}
        evals = {"val": {"name": "classification", "split": "val", "every": "1 epochs"}}
        evals["test"] = {"name": "classification", "split": "test", "every": "end"}
        config = {**DEFAULTS, "data": data, "model": {"name": "lstm"}, "evals": evals}
        config["early_stopping"] = {"metric": "val/loss", "mode": "min", "patience": 0}
        (folder / "config.json").write_text(json.dumps(config))
        environment = {"command": ["main.py", "--config=configs/a b.py"], "devices": ["cpu"]}
        (folder / "environment.json").write_text(json.dumps(environment))
        run.write_about({"data": "mine.csv", "generated": False, "train_examples": 12345})
        rows = []
        for step in range(10, 101, 10):
            row = {"train/loss": 10 / step, "train/learning_rate": 0.1, "train/epoch": step / 50}
            rows.append({"step": step, **row, "train/steps_per_second": 10.0})
            if step % 50 == 0:
                rows.append({"step": step, "val/loss": 20 / step, "val/accuracy": 0.25})
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "metrics.jsonl").write_text(text)
        rest, held = mistakes.kept(Evaluated(details(kind)))
        result = {"step": 100, "chosen": "step 50, the best by val/loss"}
        result |= {"metrics": {"loss": 0.123456, "f1/odd|<name>": 0.5}, **rest}
        if not arrays:
            result.pop("mistakes")
        run.write_result("test", result, held if arrays else None)
    return folder
