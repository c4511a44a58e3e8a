"""Saving and resuming: Orbax writes the arrays, a manifest of hashes proves them whole.

checkpoints/
  1000/                  appears by one rename, so it is whole or not there at all
    arrays/variables/    the model's variables, restored alone by predict and evaluate
    arrays/training/     step and slots
    arrays/actor/        where there is an actor
    host.json            best metric, patience, metrics of a half-finished window
    manifest.json        sha256 of every other file; Orbax loads flipped bytes without a word
  1500.unfinished/       being written, or what a killed run left: removed at the next start
"""

import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from bigmodel_jax import durations, trees
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError
from bigmodel_jax.processes import on_first
from bigmodel_jax.steps import TrainState


class Checkpointer:
    """Keeps the newest `keep` checkpoints of a run, and the best one.

    Args:
        folder: where they lie.
        every: a duration in steps ("1 epochs") or in time ("10 minutes").
        keep: how many of the newest to keep.
        fallback: take the newest whole checkpoint where a newer one is damaged, and say so.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        every: str = "10 minutes",
        keep: int = 1,
        fallback: bool = False,
    ):
        self.folder, self.keep, self.fallback = folder.absolute(), keep, fallback
        if keep < 1:
            raise UserError("config.checkpoint.keep must be at least 1, or there is no resuming.")
        self.seconds = durations.seconds(every, "config.checkpoint.every")
        timed = self.seconds is not None
        self.steps = None if timed else clock.steps(every, "config.checkpoint.every")
        self._saved_at = time.monotonic()
        self._orbax = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        if jax.process_index() == 0:
            for left in self.folder.glob("*.unfinished*"):
                shutil.rmtree(left)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        # An exception while Orbax writes would otherwise surface as one about its executors, and
        # a failure to save must not hide what ended the run.
        failure = None
        for close in (self.wait, self._orbax.close):
            try:
                close()
            except Exception as error:
                failure = failure or error
        if failure is not None and kind is None:
            raise failure

    def due(self, step: int, logging: bool) -> bool:
        """Whether the interval is over. Time is looked at only where all hosts log together."""
        if self.steps:
            return step % self.steps == 0
        if not logging:
            return False
        over = time.monotonic() - self._saved_at >= (self.seconds or 0)
        return bool(multihost_utils.broadcast_one_to_all(np.int32(over)))

    def save(self, step: int, state: TrainState, host: Mapping, actor: Any = None) -> None:
        """Starts saving; returns as soon as the arrays are copied. Waits for an earlier save.

        Args:
            host: JSON data; its "best_step", if any, names the checkpoint that is kept as the best.
            actor: the actor's state, a pytree of arrays, where there is one.

        Raises:
            UserError: the earlier save failed (a full disk, say); the older checkpoints are intact.
        """
        on_first(self.wait)
        self.wait()
        part = self.folder / f"{step}.unfinished"
        items = {
            "variables": ocp.args.StandardSave(state.variables),  # pyright: ignore
            "training": ocp.args.StandardSave({"step": state.step, "slots": state.slots}),  # pyright: ignore
        }
        if actor is not None:
            items["actor"] = ocp.args.StandardSave(actor)  # pyright: ignore
        try:
            part.mkdir(parents=True, exist_ok=True)
            self._orbax.save(part / "arrays", args=ocp.args.Composite(**items))
        except Exception as error:
            raise self._failure(step, error) from error
        host = json.loads(json.dumps(host))
        self._thread = threading.Thread(target=self._finish, args=(step, part, host))
        self._thread.start()
        self._saved_at = time.monotonic()

    def wait(self) -> None:
        """Returns when nothing is being written any more."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def find(self) -> int | None:
        """The step to resume from, the same on all hosts; None for a fresh start.

        Raises:
            UserError: the newest checkpoint is damaged and `fallback` is off.
        """
        self.wait()
        step = on_first(self._newest_whole)
        if jax.process_count() > 1:
            step = int(multihost_utils.broadcast_one_to_all(np.int32(-1 if step is None else step)))
        return None if step < 0 else step

    def restore(self, step: int, abstract: TrainState, actor: Any = None):
        """(state, host data, actor's state) of a checkpoint, laid out as `abstract` says."""
        items = {
            "variables": abstract.variables,
            "training": {"step": abstract.step, "slots": abstract.slots},
            **({"actor": actor} if actor is not None else {}),
        }
        restored = _restore(self._orbax, self.folder / str(step), items)
        training = restored["training"]
        state = TrainState(training["step"], restored["variables"], training["slots"])
        host = json.loads((self.folder / str(step) / "host.json").read_text())
        return state, host, restored["actor"] if actor is not None else None

    def _newest_whole(self) -> int:
        for step in sorted(all_steps(self.folder), reverse=True):
            damage = verify(self.folder / str(step))
            if damage is None:
                return step
            if not self.fallback:
                raise UserError(
                    f"The newest checkpoint {self.folder / str(step)} is damaged: {damage}. Restore "
                    "that file, or take the newest whole checkpoint with "
                    "--config.checkpoint.fallback=true."
                )
            aside = self.folder / f"{step}.damaged"
            print(f"WARNING: checkpoint {step} is damaged ({damage}); moved to {aside}.")
            shutil.rmtree(aside, ignore_errors=True)
            (self.folder / str(step)).rename(aside)
        if self.fallback and any(self.folder.glob("*.damaged")):
            raise UserError(f"No checkpoint in {self.folder} is whole; remove it to start afresh.")
        return -1

    def _finish(self, step, part, host):
        """Waits for Orbax, writes host data and manifest, renames, removes old checkpoints."""
        try:
            self._orbax.wait_until_finished()
            if jax.process_index() != 0:
                return
            (part / "host.json").write_text(json.dumps(host, indent=2) + "\n")
            files = {name: _sha256(part / name) for name in _files(part)}
            (part / "manifest.json").write_text(json.dumps(files, indent=2) + "\n")
            _sync(part)
            final = self.folder / str(step)
            shutil.rmtree(final, ignore_errors=True)
            part.rename(final)
            _sync_folder(self.folder)
            steps = sorted(all_steps(self.folder))
            for old in set(steps[: -self.keep]) - {host.get("best_step")}:
                # Never half of one under a whole one's name, should we be killed in the middle.
                gone = (self.folder / str(old)).rename(self.folder / f"{old}.unfinished")
                shutil.rmtree(gone)
        except BaseException as error:
            self._error = self._failure(step, error)

    def _failure(self, step, error):
        whole = sorted(all_steps(self.folder))
        kept = f"step {whole[-1]} is the newest whole one" if whole else "none was saved before"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        elif code := re.search(r"os_error_code='(\d+)'", reason):  # among a page of Orbax's words
            reason = os.strerror(int(code[1]))
        failure = UserError(
            f"The checkpoint of step {step} could not be written to {self.folder}: {reason}. Of the "
            f"checkpoints, {kept}; make room or mend the folder, and run the same command again."
        )
        failure.__cause__ = error
        return failure


def all_steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, in no order."""
    return [int(p.name) for p in folder.glob("*") if p.name.isdigit()]


def verify(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, or None if every file has the hash of the manifest."""
    manifest = checkpoint / "manifest.json"
    try:
        expected = json.loads(manifest.read_text())
    except (OSError, ValueError):
        return "manifest.json is missing or cannot be read"
    for name, digest in expected.items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is missing"
        if _sha256(path) != digest:
            return f"{name} does not have the hash it was written with"
    return None


def restore_variables(checkpoint: Path, abstract) -> Any:
    """The variables alone of a verified checkpoint, laid out as `abstract` says."""
    if damage := verify(checkpoint):
        raise UserError(f"The checkpoint {checkpoint} is damaged: {damage}.")
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as orbax:
        return _restore(orbax, checkpoint.absolute(), {"variables": abstract})["variables"]


def saved_variables(checkpoint: Path) -> dict[str, jax.ShapeDtypeStruct]:
    """Shape and dtype of each variable by path ("params/head/kernel"); no array is read."""
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
        found = reader.metadata(checkpoint.absolute() / "arrays" / "variables").item_metadata.tree
    return {k: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in trees.flatten(found).items()}


def restore_part(
    checkpoint: Path, part: Mapping[str, jax.ShapeDtypeStruct]
) -> dict[str, jax.Array]:
    """Some variables of a verified checkpoint by path, laid out and cast as `part` says."""
    tree = trees.unflatten(dict(part))
    options = ocp.checkpoint_utils.construct_restore_args(tree)
    args = ocp.args.PyTreeRestore(item=tree, restore_args=options, partial_restore=True)  # pyright: ignore
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as orbax:
        arrays = checkpoint.absolute() / "arrays" / "variables"
        return trees.flatten(orbax.restore(arrays, args=args))


def _restore(orbax, checkpoint, items: Mapping[str, Any]):
    """The items as laid out by abstract trees, if they are of the same model."""
    arrays = checkpoint / "arrays"
    for item, abstract in items.items():
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            saved = _leaves(reader.metadata(arrays / item).item_metadata.tree)
        wanted = _leaves(abstract)
        names = sorted({*saved, *wanted})
        wrong = [(n, saved.get(n), wanted.get(n)) for n in names if saved.get(n) != wanted.get(n)]
        if wrong:
            lines = [
                f"  {n}: saved {old or 'nothing'}, now {new or 'nothing'}" for n, old, new in wrong
            ]
            more = [f"  and {len(lines) - 5} more"] if len(lines) > 5 else []
            raise UserError(
                f"The checkpoint {checkpoint} is whole, but is not of this model:\n"
                + "\n".join(lines[:5] + more)
            )
    args = {name: ocp.args.StandardRestore(tree) for name, tree in items.items()}  # pyright: ignore
    return orbax.restore(arrays, args=ocp.args.Composite(**args))


def _leaves(tree) -> dict[str, str]:
    """Shape and dtype of every array by path; a random key is saved as its words."""
    found = {}
    for keys, x in jax.tree_util.tree_leaves_with_path(tree):
        names = (getattr(k, "key", getattr(k, "name", getattr(k, "idx", k))) for k in keys)
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.eval_shape(jax.random.key_data, x)
        found["/".join(map(str, names))] = f"{np.dtype(x.dtype)}{list(x.shape)}"
    return found


def _files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder):
    """Flushes every file of a folder to the disk, so that a rename never outruns its content."""
    for name in _files(folder):
        with open(folder / name, "rb") as file:
            os.fsync(file.fileno())
    for inner in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        _sync_folder(inner)


def _sync_folder(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
