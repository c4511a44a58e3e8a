"""The directory of a run: claimed by one process group, and by one config.

config.json       the resolved config              metrics.jsonl  a row of numbers for each log
environment.json  what it ran on                   checkpoints/   the newest, and the best
about.json        data, sizes, when it began       assets/        tokenizer, label names
init_from.json    what became of each array of another run, where this one started from it
results/NAME.json metrics, the worst mistakes      tensorboard/   event files
results/NAME.npz  probabilities, labels, lengths   plots/  report.md  report.html
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from bigmodel_jax import checkpoint, config, environment
from bigmodel_jax.errors import UserError, refuse_address
from bigmodel_jax.processes import on_first


class RunDir:
    """Opens a run's directory for training, before anything is built.

    Raises:
        UserError: it cannot be written, is not a run's, or another process trains in it.
    """

    def __init__(self, path: str | os.PathLike):
        refuse_address("--workdir", path)
        self.path = Path(path).expanduser().absolute()
        self._main = jax.process_index() == 0
        self._lock = None

    def __enter__(self):
        on_first(self._open)
        if jax.process_count() > 1:
            seen = multihost_utils.process_allgather(np.int32((self.path / ".lock").exists()))
            if blind := np.flatnonzero(np.asarray(seen) == 0).tolist():
                raise UserError(
                    f"--workdir {self.path} of process 0 is not what process {blind[0]} sees there: it "
                    "must lie on a disk that all machines share."
                )
        return self

    def _open(self):
        if self.path.is_dir() and not self.has_config and any(self.path.iterdir()):
            left = [p.name for p in self.path.iterdir() if p.name != ".lock"]
            if left:
                raise UserError(
                    f"{self.path} is not empty and holds no config.json ({left[0]} is in it): choose "
                    "another --workdir."
                )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / ".lock", "w")  # noqa: SIM115 - held until the end
        except OSError as error:
            raise UserError(
                f"--workdir {self.path} cannot be written: {error.strerror}."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"Another process is training in {self.path}.") from error

    def __exit__(self, *_):
        if self._lock is not None:
            self._lock.close()

    @property
    def has_config(self) -> bool:
        return (self.path / "config.json").is_file()

    def check(self, resolved: Mapping, allow_changes: bool) -> None:
        """Refuses a directory whose checkpoints are of another config, and says what differs.

        Before its first checkpoint a run has nothing to lose, and its config may be mended.
        """
        on_first(lambda: self._check(resolved, allow_changes))

    def _check(self, resolved, allow_changes):
        if not checkpoint.all_steps(self.path / "checkpoints"):
            return
        known = {**config.DEFAULTS, **read_config(self.path)}  # of an older version, which had less
        old = {k: v for k, v in config.plain(known).items() if k not in config.NEUTRAL}
        new = {k: v for k, v in config.plain(resolved).items() if k not in config.NEUTRAL}
        changes = config.differences(old, new)
        if changes and not allow_changes:
            data = [line for line in changes if line.startswith("data.fingerprint:")]
            reader = [line for line in changes if line.startswith("data.reader.")]
            if data and reader:
                raise UserError(
                    f"{self.path} holds a run on other data ({'; '.join(reader)}): choose another "
                    "--workdir."
                )
            hint = "\n(The data have changed since this run began.)" if data else ""
            raise UserError(
                f"{self.path} belongs to another config:\n  " + "\n  ".join(changes) + hint + "\n"
                "Choose another --workdir, or go on with the new config: --allow_changed_config."
            )
        for change in changes:
            print(f"The config changed: {change}", flush=True)

    def write(self, resolved: Mapping, source: Any) -> None:
        """Writes the resolved config, the environment, and the assets of a source that has any."""
        if not self._main:
            return
        replace(self.path / "config.json", config.to_json(resolved))
        described = json.dumps(environment.describe(), indent=2) + "\n"
        replace(self.path / "environment.json", described)
        if hasattr(source, "save_assets"):
            source.save_assets(self.path / "assets")

    def read_result(self, name: str) -> dict | None:
        """What `write_result` wrote, if it did."""
        path = self.path / "results" / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def write_result(
        self, name: str, result: Mapping, arrays: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """results/NAME.npz, if there are arrays, and then results/NAME.json."""
        if self._main:
            folder = self.path / "results"
            folder.mkdir(exist_ok=True)
            if arrays:
                part = folder / f"{name}.npz.part"
                with part.open("wb") as file:
                    np.savez(file, **arrays)  # type: ignore[arg-type]
                part.replace(folder / f"{name}.npz")
            replace(folder / f"{name}.json", _in_lines(result) + "\n")

    def read_about(self) -> dict:
        """What `write_about` wrote, if it did."""
        path = self.path / "about.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def write_about(self, about: Mapping) -> None:
        """about.json."""
        if self._main:
            text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
            replace(self.path / "about.json", text)


@contextmanager
def new_run(path: str | os.PathLike) -> Iterator[RunDir]:
    """The directory of a run that no training begins: written beside, whole at `path` or not there.

    Raises:
        UserError: it cannot be written; `path` is there already and not empty.
    """
    final = Path(path).expanduser().absolute()
    part, main = final.with_name(f"{final.name}.unfinished"), jax.process_index() == 0
    if main:  # what a killed process left
        shutil.rmtree(part, ignore_errors=True)
    try:
        with RunDir(part) as run:
            yield run
        on_first(lambda: _appear(part, final))
    finally:
        if main:
            shutil.rmtree(part, ignore_errors=True)


def _appear(part: Path, final: Path) -> None:
    try:
        part.replace(final)
    except OSError as error:
        raise UserError(f"{final} cannot be written: {error.strerror}.") from error


def read_config(workdir: str | os.PathLike) -> dict:
    """The resolved config of a run, for the commands that apply it."""
    path = Path(workdir).expanduser() / "config.json"
    if not path.is_file():
        raise UserError(f"{path} is not there: --workdir names the directory of a run.")
    try:
        return config.plain(json.loads(path.read_text()))
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}.") from error


def chosen_checkpoint(workdir: str | os.PathLike) -> Path:
    """The best checkpoint of a run, where it watched a metric; else the newest.

    Raises:
        UserError: the run has not saved any.
    """
    folder = Path(workdir).expanduser() / "checkpoints"
    known = checkpoint.all_steps(folder) if folder.is_dir() else []
    if not known:
        raise UserError(f"{folder} holds no checkpoint: the run has not saved one yet.")
    newest = folder / str(max(known))
    host = newest / "host.json"
    best = json.loads(host.read_text()).get("best_step") if host.is_file() else None
    return folder / str(best) if best else newest


def _in_lines(value: Any, indent: str = "") -> str:
    """JSON with an item a line, but a list of numbers, such as a row of a matrix, on one."""
    deeper = indent + "  "
    if isinstance(value, Mapping) and value:
        items = [f"{_dumps(str(k))}: {_in_lines(v, deeper)}" for k, v in value.items()]
        begin, end = "{}"
    elif isinstance(value, (list, tuple)) and any(not isinstance(x, (int, float)) for x in value):
        items, (begin, end) = [_in_lines(item, deeper) for item in value], "[]"
    else:
        return _dumps(value)
    return f"{begin}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{end}"


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def replace(path: Path, content: str | bytes) -> None:
    """Writes a file by one rename, so that nobody ever reads half of it."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    part.replace(path)
