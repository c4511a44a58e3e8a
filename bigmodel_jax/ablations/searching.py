"""A search from beginning to end: Optuna proposes, trials run, what falls behind is ended.

The study lies in WORKDIR/search.journal. A sampler is made anew for each trial, seeded with its number:
so what is proposed depends on the finished trials alone, and a search that was killed and goes on is the
one that was not.
"""

import importlib.util
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bigmodel_jax import schema
from bigmodel_jax.ablations import ablation, results, running, search_report, spaces, trials
from bigmodel_jax.ablations.config_file import ConfigFile
from bigmodel_jax.ablations.report import Study
from bigmodel_jax.ablations.spaces import Axis
from bigmodel_jax.ablations.trials import Identities, Trial
from bigmodel_jax.ablations.variants import Variant
from bigmodel_jax.errors import UserError
from bigmodel_jax.reports import recorded

TRIALS = 20
ENOUGH = 10  # finished trials, for anything to be said of importance
UNPRUNED = 5  # trials that show what the median is


def perform(file: ConfigFile, workdir: Path, options: Any, data_dir: str) -> None:
    """What `python -m bigmodel_jax.ablate --search=...` does.

    Raises:
        UserError: bad input, before anything runs; no trial has finished.
        Stopped: the process was asked to stop.
    """
    if not importlib.util.find_spec("optuna"):
        raise UserError("--search needs Optuna: pip install 'bigmodel_jax[search]'.")
    config = file.config(file.seed)
    schema.check(config)
    _check(options)
    metric = _metric(options.metric, config)
    axes = spaces.parse(config, options.space)
    grid = options.search == "grid"
    if grid and (ranges := [a.key for a in axes if not a.choices]):
        raise UserError(f"--search=grid needs values, and {ranges[0]} is a range: KEY=VALUE,VALUE.")
    count = options.trials or (math.prod(len(a.choices) for a in axes) if grid else TRIALS)
    if options.dry_run:
        print(f"{count} trials of {', '.join(a.describe() for a in axes)}")
        return
    search = Search(workdir, options, config, metric, axes)
    identities = Identities(data_dir)
    made: list[Trial] = []
    for number, frozen in search.proposals(count):
        given = {a.key: a.value(config, frozen.params[a.key]) for a in axes}
        variant = Variant(f"{number:03}", given)
        trial = trials.make(workdir, file.config, variant, file.seed)
        made.append(trial)
        if running.pending(trial, identities, options.retry, options.allow_changed_code):
            ablation.say(
                f"{variant.name}: {', '.join(f'{k}={v}' for k, v in frozen.params.items())}"
            )
            ablation.run_one(trial, identities, data_dir, metric, search.watch(frozen))
        search.tell(frozen, trial)
    command = tuple(word for word in sys.argv[1:] if not word.startswith("--retry"))
    study = Study(workdir, file.name, config, made, "", metric, command, searched=True)
    page = search_report.make(study, axes, metric, search.points(), search.importance())
    ablation.say(f"Report: {page}")


def _check(options: Any) -> None:
    for flag in ("grid", "zip", "diff"):
        if getattr(options, flag):
            raise UserError(f"--{flag} is not for a search: --space says where it looks.")
    if options.seeds > 1 or options.baseline or options.processes > 1:
        raise UserError(
            "A search runs one seed of a trial at a time; what it finds is then run with more seeds, "
            "as its report says: leave out --seeds, --baseline and --processes."
        )
    if options.trials is not None and options.trials < 1:
        raise UserError(f"--trials={options.trials} must be 1 or more.")


def _metric(given: str, config: Mapping) -> str:
    """The validation metric that is searched by.

    Raises:
        UserError: none is named or watched; it is of the test split.
    """
    metric = given or config["early_stopping"].get("metric", "")
    if not metric:
        raise UserError("A search needs a metric of the validation part: --metric=val/accuracy.")
    results.check_metric(metric, config)
    if results.of_test(metric, config):
        raise UserError(
            f"{metric} is of the test split, by which nothing may be chosen: name a metric of a "
            "validation split."
        )
    return metric


class Search:
    """Optuna's study in a directory.

    Raises:
        UserError: the directory holds another search.
    """

    def __init__(
        self, workdir: Path, options: Any, config: Mapping, metric: str, axes: Sequence[Axis]
    ):
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        workdir.mkdir(parents=True, exist_ok=True)
        self._optuna, self._metric, self._kind = optuna, metric, options.search
        self._lower = results.lower_is_better(metric, config)
        self._space = {axis.key: axis.distribution() for axis in axes}
        self._grid = {axis.key: list(axis.choices) for axis in axes}
        pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED)
        self._study = optuna.create_study(
            study_name="search",
            storage=JournalStorage(JournalFileBackend(str(workdir / "search.journal"))),
            direction="minimize" if self._lower else "maximize",
            pruner=pruner if options.prune else optuna.pruners.NopPruner(),
            load_if_exists=True,
        )
        asked_for = {"search": options.search, "metric": metric, "prune": options.prune}
        asked_for["space"] = [axis.describe() for axis in axes]
        before = self._study.user_attrs.get("asked", asked_for)
        if before != asked_for:
            other = next(k for k in asked_for if before.get(k) != asked_for[k])
            raise UserError(
                f"{workdir} holds a search with another {other}, {before.get(other)!r}: choose another "
                "--workdir."
            )
        self._study.set_user_attr("asked", asked_for)

    def proposals(self, count: int):
        """(number, Optuna's trial) of each trial, those that are known already first."""
        for number in range(count):
            known = self._study.get_trials(deepcopy=False)
            if number >= len(known):
                self._study.sampler = self._sampler(number)
                self._study.ask(self._space)
            yield number, self._study.get_trials(deepcopy=False)[number]

    def _sampler(self, number: int) -> Any:
        samplers = self._optuna.samplers
        if self._kind == "grid":
            return samplers.GridSampler(self._grid, seed=0)
        kind = samplers.TPESampler if self._kind == "tpe" else samplers.RandomSampler
        return kind(seed=number)

    def watch(self, frozen: Any) -> running.Watch:
        """Reports evaluations to Optuna; ends the trial if it says so."""
        if frozen.state.is_finished():  # it had failed, and is tried again
            return lambda step, metrics: None
        reported = set(frozen.intermediate_values)  # before it was stopped
        trial = self._optuna.trial.Trial(self._study, frozen._trial_id)

        def watch(step: int, metrics: Mapping[str, float]) -> None:
            if self._metric not in metrics:
                return
            if step not in reported:
                trial.report(metrics[self._metric], step)
            if trial.should_prune():
                raise running.Pruned(
                    f"{self._metric} {metrics[self._metric]:.4f} at step {step} is behind the median."
                )

        return watch

    def tell(self, frozen: Any, trial: Trial) -> None:
        """Tells Optuna what came of a trial, unless it knows."""
        state = trial.record()["state"]
        if frozen.state.is_finished():
            return
        if state == trials.FINISHED:
            values = results.measured(recorded.load(trial.run))
            if self._metric in values:
                self._study.tell(frozen.number, values[self._metric])
                return
        kinds = self._optuna.trial.TrialState
        pruned = state == trials.PRUNED
        self._study.tell(frozen.number, state=kinds.PRUNED if pruned else kinds.FAIL)

    def points(self) -> dict[int, dict]:
        """What each trial had, by its number and key."""
        return {t.number: t.params for t in self._study.get_trials(deepcopy=False)}

    def importance(self) -> dict[str, float]:
        """The share of each key, or nothing where there are too few trials to say."""
        kinds = self._optuna.trial.TrialState
        done = self._study.get_trials(deepcopy=False, states=(kinds.COMPLETE,))
        if len(done) < ENOUGH or len(self._space) < 2:
            return {}
        evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
        return self._optuna.importance.get_param_importances(self._study, evaluator=evaluator)
