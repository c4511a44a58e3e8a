"""One run of an ablation: its directory, what it is identified by, what became of it.

WORKDIR/trials/VARIANT/seed-0/       an ordinary run
WORKDIR/trials/VARIANT/seed-0.json   its record: identity, state, error
WORKDIR/trials/VARIANT/seed-0.log    what it printed
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bigmodel_jax import config as configs
from bigmodel_jax import environment, experiment, rundir
from bigmodel_jax.ablations.overrides import apply
from bigmodel_jax.ablations.variants import Base, Variant
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.errors import UserError
from bigmodel_jax.inheritance import inherit

FINISHED, FAILED, PRUNED, BEGUN = "finished", "failed", "pruned", "begun"


class Trial(NamedTuple):
    """A variant with a seed, or a fold of a cross-validation.

    Attributes:
        fold: 1 or more; 0 where there are none.
        config: completed, the variant's overrides and the seed in it.
        run: its directory.
    """

    variant: Variant
    seed: int
    config: dict
    run: Path
    fold: int = 0

    @property
    def number(self) -> int:
        """Among those of its variant: the fold, or else the seed."""
        return self.fold or self.seed

    @property
    def name(self) -> str:
        return f"{self.variant.name}, {'fold' if self.fold else 'seed'} {self.number}"

    def beside(self, suffix: str) -> Path:
        """A file beside the run's directory: ".json", ".log", ".lock"."""
        return self.run.with_name(self.run.name + suffix)

    def record(self) -> dict:
        """{"state", "error", "identity", ...}; empty where the trial has not begun."""
        path = self.beside(".json")
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def write(self, state: str, identity: Mapping[str, str], error: str = "", **more: Any) -> None:
        """The record, with whatever else is to be known of the trial."""
        record = {"variant": self.variant.name, "seed": self.seed, "state": state, "error": error}
        record |= {"overrides": self.variant.overrides, "identity": dict(identity), **more}
        self.run.parent.mkdir(parents=True, exist_ok=True)
        rundir.replace(self.beside(".json"), json.dumps(record, indent=2) + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Against another process with the same trial.

        Raises:
            UserError: there is one.
        """
        self.run.parent.mkdir(parents=True, exist_ok=True)
        with self.beside(".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(f"Another process runs the trial {self.run}.") from error
            yield


def make(workdir: Path, base: Base, variant: Variant, seed: int, fold: int = 0) -> Trial:
    """The trial of a variant and a seed.

    Args:
        fold: that `base` is of, if any.

    Raises:
        UserError: see overrides.apply.
    """
    config = apply(base(seed), variant.overrides)
    name = f"fold-{fold}" if fold else f"seed-{seed}"
    return Trial(variant, seed, config, workdir / "trials" / variant.folder / name, fold)


class Identities:
    """What makes two trials the same: resolved config, code with its versions, data."""

    def __init__(self, data_dir: str):
        self._data_dir = data_dir
        self._data: dict[str, str] = {}
        stated = json.dumps(environment.stated(), sort_keys=True)
        self.code = hashlib.sha256(stated.encode()).hexdigest()[:16]

    def of(self, trial: Trial) -> dict[str, str]:
        """{"config", "code", "data"}: hashes, of the data their fingerprint as it is now."""
        lasting = {k: v for k, v in trial.config.items() if k not in configs.NEUTRAL}
        config = hashlib.sha256(configs.to_json(lasting).encode()).hexdigest()[:16]
        return {"config": config, "code": self.code, "data": self._fingerprint(trial.config)}

    def _fingerprint(self, config: Mapping) -> str:
        """Opened once for all trials of the same config.data, which takes as long as it takes a run."""
        if config["actor"]:
            return ""
        key = configs.to_json({k: config[k] for k in ("data", "init_from")})
        if key not in self._data:
            try:
                self._data[key] = _fingerprint(config, self._data_dir)
            except UserError:  # which the trial itself will meet, and record
                self._data[key] = ""
        return self._data[key]


def _fingerprint(config: Mapping, data_dir: str) -> str:
    inherited = inherit(config)
    data, _ = resolve_data(inherited["data"], data_dir=data_dir)
    whole = {**inherited, "data": data}
    source = experiment.open_source(whole, data_dir, split="train", training=False)
    return getattr(source, "fingerprint", "")


def changed(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What two identities differ in: "config", "code", "data"."""
    return [key for key in now if then.get(key) != now[key]]
