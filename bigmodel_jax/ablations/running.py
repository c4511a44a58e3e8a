"""Runs trials: one after the other, as one program, or each in a process of its own, several at a time."""

import contextlib
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax

from bigmodel_jax import checkpoint
from bigmodel_jax.ablations import energy, stacked, trials
from bigmodel_jax.ablations.trials import Identities, Trial
from bigmodel_jax.errors import UserError
from bigmodel_jax.train import train

POLL = 0.2
Watch = Callable[[int, Mapping[str, float]], None]


class Pruned(Exception):
    """A trial that has shown enough."""


class Stopped(Exception):
    """A trial was asked to stop and has saved; so stops the ablation."""


def pending(trial: Trial, identities: Identities, retry: bool, changed_code: bool) -> bool:
    """Whether a trial is still to be run: finished ones are not, nor are those that failed as they are.

    Args:
        retry: those that have failed are.
        changed_code: what was done with other code, or other versions, counts.

    Raises:
        UserError: what is there is of another config, of other data, or of other code.
    """
    record = trial.record()
    if not record:
        return True
    other = trials.changed(record["identity"], identities.of(trial))
    if not other or (other == ["code"] and changed_code):
        failed = record["state"] == trials.FAILED
        return record["state"] == trials.BEGUN or (failed and retry)
    if _worthless(trial):
        return True
    way = "" if other != ["code"] else ", or count it all the same: --allow_changed_code"
    raise UserError(
        f"{trial.run} was run with other {' and '.join(other)}: choose another --workdir, remove "
        f"{trial.run.parent.parent}{way}."
    )


def _worthless(trial: Trial) -> bool:
    """Whether nothing is lost with what a trial of other code, data or config has left."""
    if trial.record()["state"] == trials.FAILED:
        return True
    saved = trial.run / "checkpoints"
    return trial.record()["state"] == trials.BEGUN and not (
        saved.is_dir() and checkpoint.all_steps(saved)
    )


def run(
    trial: Trial, identities: Identities, data_dir: str, watch: Watch = lambda step, metrics: None
) -> str:
    """Runs a trial, or goes on with it; its state, which is recorded.

    Whatever it raises is recorded, too, but for what ends the whole ablation.

    Args:
        watch: told of each evaluation during training; it may raise Pruned.

    Raises:
        Stopped: the process was asked to stop, and the trial has saved.
        UserError: another process runs this trial.
    """
    state, error, stopped = trials.FINISHED, "", False

    def stop():
        nonlocal stopped
        stopped = True

    with trial.locked():
        identity = _begin(trial, identities)
        saved = trial.run / "checkpoints"
        whole = not (saved.is_dir() and checkpoint.all_steps(saved))  # else a part was not metered
        with (
            trial.beside(".log").open("a") as log,
            contextlib.redirect_stdout(log),
            energy.metered() as used,
        ):
            try:
                train(
                    trial.config,
                    str(trial.run),
                    data_dir=data_dir,
                    on_stop=stop,
                    on_evaluation=watch,
                )
            except Pruned as reason:
                state, error = trials.PRUNED, str(reason)
            except UserError as reason:
                state, error = trials.FAILED, str(reason)
            except Exception as reason:  # whatever it is: the other trials are still worth running
                traceback.print_exc(file=log)
                state, error = trials.FAILED, f"{type(reason).__name__}: {reason}"
        jax.clear_caches()  # its programs, which no other trial would use again
        if stopped:
            raise Stopped
        if "joules" in used and not whole:
            used = {"why": "the trial was interrupted, and its first part is not known"}
        trial.write(state, identity, error, energy=used)
    return state


def _begin(trial: Trial, identities: Identities) -> Mapping[str, str]:
    """Records that a trial has begun, as what; removes what it left with other code, data or config."""
    identity, before = identities.of(trial), trial.record()
    if before and trials.changed(before["identity"], identity) and _worthless(trial):
        shutil.rmtree(trial.run, ignore_errors=True)
    trial.write(trials.BEGUN, identity)
    return identity


def groups(found: Iterable[Trial]) -> list[list[Trial]]:
    """Trials that can be run together, for they are of one program and stand at one step."""
    alike: dict[Any, list[Trial]] = {}
    for trial in found:
        step = max(checkpoint.all_steps(trial.run / "checkpoints"), default=0)
        alike.setdefault((stacked.program(trial.config), step), []).append(trial)
    return list(alike.values())


def run_together(group: Sequence[Trial], identities: Identities, data_dir: str) -> None:
    """Runs trials of a group as one program, or goes on with them; records what came of each.

    Raises:
        Stopped: the process was asked to stop, and the trials have saved.
        UserError: another process runs one of them, or they cannot be one program.
    """
    stops: list[None] = []
    with contextlib.ExitStack() as held:
        members = []
        for trial in group:
            held.enter_context(trial.locked())
            _begin(trial, identities)
            log = held.enter_context(trial.beside(".log").open("a"))
            members.append(stacked.Member(trial.config, trial.run, log))
        try:
            found = stacked.train(members, data_dir, lambda: stops.append(None))
            errors = {i: str(reason) for i, reason in found.items()}
        except stacked.Unfit:
            raise
        except Exception as reason:
            traceback.print_exc(file=members[0].log)
            known = isinstance(reason, UserError)
            error = str(reason) if known else f"{type(reason).__name__}: {reason}"
            errors = dict.fromkeys(range(len(group)), error)
        jax.clear_caches()
        for i, trial in enumerate(group):
            if i in errors:
                trial.write(trials.FAILED, identities.of(trial), errors[i])
            elif not stops:
                trial.write(trials.FINISHED, identities.of(trial))
    if stops:
        raise Stopped


def run_in_processes(commands: Sequence[Sequence[str]], count: int) -> None:
    """Runs commands, `count` at a time; SIGTERM and Ctrl-C are passed on, and start no more.

    Raises:
        Stopped: they were asked to stop.
        UserError: one ended badly, for a reason that is not a trial's own.
    """
    waiting, running, codes = list(commands), [], []
    with _passing_on(running) as asked:
        while running or (waiting and not asked):
            while waiting and len(running) < count and not asked:
                running.append(subprocess.Popen(waiting.pop(0), start_new_session=True))
            time.sleep(POLL)
            codes += [p.returncode for p in running if p.poll() is not None]
            running[:] = [p for p in running if p.returncode is None]
    if asked:
        raise Stopped
    if bad := [code for code in codes if code]:
        raise UserError(f"A process of trials ended with exit code {bad[0]}; see above.")


@contextlib.contextmanager
def _passing_on(running: Sequence[subprocess.Popen]) -> Iterator[list[int]]:
    """While open, a signal to stop goes to the processes that are running then; those received."""
    asked: list[int] = []

    def pass_on(number: int, frame: Any) -> None:
        for process in running:
            process.send_signal(signal.SIGKILL if asked else signal.SIGTERM)
        asked.append(number)

    old = {n: signal.signal(n, pass_on) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
