"""A recorded command, run for a seed, and what it gave."""

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from bigmodel_jax import rundir
from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import default_workdir


class Outcome(NamedTuple):
    """What a run gave.

    Attributes:
        minutes: from its beginning to its result.
        config, about, environment: as in its directory, see rundir.py.
    """

    seed: int
    value: float
    minutes: float
    config: dict
    about: dict
    environment: dict

    @property
    def fingerprint(self) -> str | None:
        """Of its data, where they have one."""
        return self.config["data"].get("fingerprint")


def folder_of(config: Path, arg: str, base: str) -> Path:
    """Where such a run lives below `base`."""
    return Path(base) / Path(default_workdir(f"{config}:{arg}")).name


def run(config: Path, arg: str, workdir: Path, data_dir: str | None) -> None:
    """Trains in a process of its own, whose output is shown; goes on with a run that was interrupted.

    Raises:
        UserError: it failed, and has said why.
    """
    command = [sys.executable, "-m", "bigmodel_jax.main", f"--config={config}:{arg}"]
    command += [f"--workdir={workdir}", *([f"--data_dir={data_dir}"] if data_dir else [])]
    if code := subprocess.run(command).returncode:
        raise UserError(f"{' '.join(command[1:])} ended with {code}; it says why above.")


def read(workdir: Path, metric: str) -> Outcome:
    """What a finished run gave.

    Raises:
        UserError: it has no such result.
    """
    config, result, key = (
        rundir.read_config(workdir),
        _result(workdir, metric),
        metric.partition("/")[2],
    )
    metrics = _json(result)["metrics"] if result.is_file() else {}
    if key not in metrics:
        raise UserError(f"{workdir} has no result {metric}: it has not ended, or has no evaluator.")
    about, environment = _json(workdir / "about.json"), _json(workdir / "environment.json")
    began = datetime.datetime.fromisoformat(about["began"]).timestamp()
    minutes = (result.stat().st_mtime - began) / 60
    return Outcome(config["seed"], metrics[key], minutes, config, about, environment)


def finished(workdir: Path, metric: str) -> bool:
    """Whether a run has a result for `read`."""
    return _result(workdir, metric).is_file()


def _result(workdir: Path, metric: str) -> Path:
    return workdir / "results" / f"{metric.partition('/')[0]}.json"


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
