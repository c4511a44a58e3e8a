"""What the directory of a run says of it, read back without data, model or devices."""

import json
from pathlib import Path
from typing import NamedTuple

from bigmodel_jax import rundir, writers
from bigmodel_jax.errors import UserError


class Run(NamedTuple):
    """What the directory of a run holds; of an older or unfinished run, what there is of it."""

    path: Path
    config: dict
    about: dict
    environment: dict
    rows: list[dict]  # of metrics.jsonl, their names without the prefix of generated data
    results: dict[str, dict]

    @property
    def during(self) -> list[str]:
        """The evaluators that run during training."""
        return [k for k, v in self.config["evals"].items() if v.get("every", "end") != "end"]

    @property
    def data(self) -> str:
        reader = self.config["data"].get("reader", {})
        known = reader.get("dataset") or reader.get("path") or reader.get("name")
        return self.about.get("data") or known or self.config["data"]["name"]

    @property
    def generated(self) -> bool:
        reader = self.config["data"].get("reader", {})
        return self.about.get("generated", reader.get("name", "").startswith("synthetic_"))

    @property
    def best(self) -> int | None:
        """The step whose parameters were chosen, if the run watched a metric."""
        if not self.config.get("early_stopping"):
            return None
        try:
            return int(rundir.chosen_checkpoint(self.path).name)
        except UserError:  # none saved yet
            return None

    def said(self, name: str) -> dict | None:
        """The row of an evaluator that runs during training, of the chosen step or else its last."""
        rows = [row for row in self.rows if any(k.startswith(f"{name}/") for k in row)]
        return next((r for r in rows if r["step"] == self.best), rows[-1] if rows else None)

    @property
    def seconds(self) -> float:
        """How long the training steps took, evaluations and compilation between them left out."""
        seconds, before = 0.0, 0
        for row in (r for r in self.rows if r.get("train/steps_per_second")):
            seconds += (row["step"] - before) / row["train/steps_per_second"]
            before = row["step"]
        return seconds

    @property
    def shared(self) -> str:
        """What is to be said of that time, where it was that of several runs as one program."""
        together = self.about.get("together", 1)
        return f" for {together} runs together" if together > 1 else ""


def load(workdir: str | Path) -> Run:
    """Reads what is there."""
    path = Path(workdir).expanduser().absolute()
    config = rundir.read_config(path)
    rows = writers.read(path / "metrics.jsonl")
    names = [key for row in rows for key in row]
    prefix = next((k.removesuffix("train/loss") for k in names if k.endswith("train/loss")), "")
    rows = [{k.removeprefix(prefix): v for k, v in row.items()} for row in rows]
    results = {p.stem: _json(p) for p in sorted((path / "results").glob("*.json"))}
    about, environment = _json(path / "about.json"), _json(path / "environment.json")
    return Run(path, config, about, environment, rows, results)


def _json(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
