"""An ablation from beginning to end: its variants checked, its trials run, its report made."""

import sys
from pathlib import Path
from typing import Any

from bigmodel_jax import schema, writers
from bigmodel_jax.ablations import (
    cost,
    folds,
    report,
    results,
    running,
    stacked,
    statistics,
    trials,
    variants,
)
from bigmodel_jax.ablations.config_file import ConfigFile
from bigmodel_jax.ablations.trials import Identities, Trial
from bigmodel_jax.ablations.variants import Variant
from bigmodel_jax.errors import UserError
from bigmodel_jax.reports import recorded


def perform(file: ConfigFile, workdir: Path, options: Any, data_dir: str) -> None:
    """What `python -m bigmodel_jax.ablate` does, but for searches.

    Raises:
        UserError: bad input, before anything runs; no trial has finished.
        Stopped: the process was asked to stop.
    """
    study = plan(file, workdir, options)
    if options.dry_run:
        for i, trial in enumerate(study.trials):
            print(f"{i:4}  {trial.name}")
        return
    identities = Identities(data_dir)
    if options.only_trial is not None:
        chosen = _numbered(study.trials, options.only_trial)
        if running.pending(chosen, identities, options.retry, options.allow_changed_code):
            run_one(chosen, identities, data_dir, study.metric)
        return
    left = [
        i
        for i, trial in enumerate(study.trials)
        if running.pending(trial, identities, options.retry, options.allow_changed_code)
    ]
    done = len(study.trials) - len(left)
    say(f"{len(study.trials)} trials in {workdir}, {done} of them done.")
    if options.processes > 1:
        own = [sys.executable, "-m", "bigmodel_jax.ablate", *sys.argv[1:]]
        commands = [[*own, f"--workdir={workdir}", f"--only_trial={i}"] for i in left]
        running.run_in_processes(commands, options.processes)
    elif options.stacked:
        for group in running.groups([study.trials[i] for i in left]):
            run_together(group, identities, data_dir, study.metric)
    else:
        for i in left:
            run_one(study.trials[i], identities, data_dir, study.metric)
    groups = {v: list(found.values()) for v, found in report.gather(study).items() if found}
    flops = {v: cost.flops_per_step(found[0].run.config, data_dir) for v, found in groups.items()}
    say(f"Report: {report.make(study, flops)}")


def plan(file: ConfigFile, workdir: Path, options: Any) -> report.Study:
    """All that is to be run, checked."""
    if options.seeds < 1 or options.processes < 1:
        raise UserError("--seeds and --processes are 1 or more.")
    if options.folds and (options.folds < 2 or options.seeds > 1):
        raise UserError(
            f"--folds={options.folds} with --seeds={options.seeds}: a cross-validation has 2 folds or "
            "more, and one seed, which mixes them."
        )
    config = file.config(file.seed)
    schema.check(config)
    found = _variants(file, config, options)
    baseline = variants.check(file.config, file.seed, found, options.baseline)
    if options.baseline and options.seeds < 2 and not options.folds:
        raise UserError(
            f"A test against {options.baseline!r} needs at least 2 seeds, not --seeds={options.seeds}."
        )
    if options.stacked and (options.processes > 1 or options.only_trial is not None):
        raise UserError(
            "--stacked runs trials in one process: leave out --processes and --only_trial."
        )
    if options.metric:
        results.check_metric(options.metric, config)
    seeds = range(file.seed, file.seed + options.seeds)
    made = [trials.make(workdir, file.config, v, seed) for v in found for seed in seeds]
    repeats = statistics.SEEDS
    if options.folds:
        made = [
            trials.make(workdir, _folded(file, fold, options.folds), v, file.seed, fold)
            for v in found
            for fold in range(1, options.folds + 1)
        ]
        repeats = statistics.folds(options.folds)
    for trial in made if options.stacked else ():
        stacked.check(trial.config)
    command = [word for word in sys.argv[1:] if not word.startswith(("--only_trial", "--retry"))]
    named = baseline.name, options.metric, tuple(command)
    return report.Study(workdir, file.name, config, made, *named, repeats=repeats)


def _folded(file: ConfigFile, fold: int, count: int) -> variants.Base:
    return lambda seed: folds.config(file.config(seed), fold, count)


def _variants(file: ConfigFile, config: dict, options: Any) -> list[Variant]:
    cells, differences = [*options.grid, *options.zip], options.diff
    if cells and differences:
        raise UserError("Give --grid and --zip, or --diff: both together have no one meaning.")
    if cells:
        return variants.cells(config, options.grid, options.zip)
    if differences:
        return variants.with_baseline(variants.differences(config, differences))
    return variants.with_baseline(variants.declared(file.ablations() or {}))


def run_one(
    trial: Trial,
    identities: Identities,
    data_dir: str,
    metric: str,
    watch: running.Watch = lambda step, metrics: None,
) -> str:
    """Runs a trial and says in a line what came of it; its state."""
    state = running.run(trial, identities, data_dir, watch)
    _tell(trial, metric)
    return state


def run_together(group: list[Trial], identities: Identities, data_dir: str, metric: str) -> None:
    """Runs trials as one program, where there are several, and says in a line what came of each."""
    if len(group) == 1:
        run_one(group[0], identities, data_dir, metric)
        return
    say(f"{len(group)} trials as one program: what they say is in trials/*/seed-*.log.")
    running.run_together(group, identities, data_dir)
    for trial in group:
        _tell(trial, metric)


def _tell(trial: Trial, metric: str) -> None:
    """What came of a trial, in a line."""
    state, error = trial.record()["state"], trial.record()["error"]
    if state != trials.FINISHED:
        say(f"{trial.name}: {state}. {error}")
        return
    run = recorded.load(trial.run)
    values = results.measured(run)
    name = metric or results.chosen_metric(run.config, [values])
    shown = f"{name} {values[name]:.4f}" if name in values else f"{name} was not measured"
    say(f"{trial.name}: {shown}, {writers.clock(run.seconds)} of steps{run.shared}")


def say(text: str) -> None:
    """A line on the console."""
    print(text, flush=True)


def _numbered(found: list[Trial], number: int) -> Trial:
    if not 0 <= number < len(found):
        raise UserError(f"--only_trial={number}: there are trials 0 to {len(found) - 1}.")
    return found[number]
