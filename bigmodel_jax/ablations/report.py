"""The report of an ablation, report.md and report.html, from the directories of its trials alone."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bigmodel_jax import rundir
from bigmodel_jax.ablations import overrides, plots, results, statistics, tables, trials
from bigmodel_jax.ablations.results import Groups, Result
from bigmodel_jax.ablations.trials import Trial
from bigmodel_jax.ablations.variants import Variant
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.reports import recorded
from bigmodel_jax.reports.page import (
    Code,
    Figure,
    Heading,
    Note,
    Paragraph,
    Part,
    Table,
    to_html,
    to_markdown,
)  # fmt: skip
from bigmodel_jax.reports.plots import curves, style

CURVES = 4
Picture = Callable[[str, str, Any], Figure]


class Study(NamedTuple):
    """What was asked for.

    Attributes:
        name: of the config, configs/NAME.py:...
        config: completed, without any variant's overrides.
        metric: "" for results.chosen_metric.
        baseline: a variant's name.
        command: the words after `python -m bigmodel_jax.ablate`.
        searched: each variant is a trial of a search.
        repeats: what the trials of a variant differ in.
    """

    workdir: Path
    name: str
    config: dict
    trials: list[Trial]
    baseline: str
    metric: str
    command: Sequence[str]
    searched: bool = False
    repeats: statistics.Repeats = statistics.SEEDS

    @property
    def title(self) -> str:
        return f"{'Search' if self.searched else 'Ablation'} of {self.name}"

    @property
    def variants(self) -> dict[str, Variant]:
        return {trial.variant.name: trial.variant for trial in self.trials}


def make(study: Study, flops: Mapping[str, float | None]) -> Path:
    """Writes plots/, report.md and report.html into the study's directory; the path of the last.

    Args:
        flops: of a step, by variant.

    Raises:
        UserError: no trial has finished, or one has not measured the metric.
    """
    groups = gather(study)
    metric, picture = metric_of(study, groups), pictures(study)
    parts = [*opening(study, groups, metric), *failures(study)]
    parts += _variants(study, groups, metric, picture)
    parts += [*learning(groups, picture, study.repeats.noun), Heading("Cost")]
    parts += tables.costs(groups, flops, used(study))
    return write(study, [*parts, *environment(study, groups)])


def write(study: Study, parts: Sequence[Part]) -> Path:
    """report.md and report.html; the path of the last."""
    rundir.replace(study.workdir / "report.md", to_markdown(study.title, parts))
    rundir.replace(study.workdir / "report.html", to_html(study.title, parts))
    return study.workdir / "report.html"


def pictures(study: Study) -> Picture:
    """What makes a part of a figure, and its file in plots/."""

    def picture(name: str, alt: str, figure: Any) -> Figure:
        folder = study.workdir / "plots"
        folder.mkdir(exist_ok=True)
        file = re.sub(r"[^\w.-]+", "_", name) + ".png"
        rundir.replace(folder / file, style.png(figure))
        return Figure(f"plots/{file}", alt, style.svg(figure, name, alt))

    return picture


def used(study: Study) -> dict[str, list[Mapping]]:
    """What energy.metered told of the finished runs, by variant."""
    told: dict[str, list[Mapping]] = {}
    for trial in study.trials:
        record = trial.record()
        if record.get("state") == trials.FINISHED:
            unknown = {"why": "it was not metered"}
            told.setdefault(trial.variant.name, []).append(record.get("energy", unknown))
    return told


def metric_of(study: Study, groups: Groups) -> str:
    """The study's metric, or one chosen for it.

    Raises:
        UserError: no trial has finished, or one has not measured it.
    """
    done = [result for group in groups.values() for result in group.values()]
    if not done:
        raise UserError(f"No trial of {study.workdir} has finished: {_first_error(study)}")
    metric = study.metric or results.chosen_metric(study.config, [r.values for r in done])
    for result in done:
        if metric not in result.values:
            raise UserError(
                f"{result.run.path} has not measured {metric!r}.{nearest(metric, result.values)}"
            )
    return metric


def gather(study: Study) -> Groups:
    """The finished runs by variant and seed; variants without one are there, too."""
    groups: Groups = {name: {} for name in study.variants}
    for trial in study.trials:
        if trial.record().get("state") == trials.FINISHED:
            run = recorded.load(trial.run)
            path = f"{trial.run.relative_to(study.workdir)}/report"
            found = Result(trial.variant.name, trial.number, run, results.measured(run), path)
            groups[trial.variant.name][trial.number] = found
    return groups


def opening(study: Study, groups: Groups, metric: str) -> list[Part]:
    """What this is, how much of it is done, and the command that does it."""
    parts: list[Part] = []
    runs = [result.run for group in groups.values() for result in group.values()]
    if runs[0].generated:
        parts.append(
            Note(f"NOTE: generated data. Every number is of {runs[0].data}, not of real data.")
        )
    counts = {state: 0 for state in (trials.FINISHED, trials.PRUNED, trials.FAILED)}
    for trial in study.trials:
        state = trial.record().get("state", trials.BEGUN)
        counts[state] = counts.get(state, 0) + 1
    left = counts.get(trials.BEGUN, 0)
    said = [
        f"{count} {state}" for state, count in counts.items() if count and state != trials.BEGUN
    ]
    said += [f"{left} still to be run"] if left else []
    seeds = len({trial.number for trial in study.trials})
    split, noun = results.evaluated_split(metric, study.config), study.repeats.noun
    of = f", measured on {split}" if split else ""
    if noun == "fold":
        of = ", each measured on the fold that it has not learnt from"
    count, kind = len(study.variants), "trial" if study.searched else "variant"
    each = "" if study.searched else f", {seeds} {noun}{'s' * (seeds != 1)} each"
    parts.append(
        Paragraph(
            f"{count} {kind}{'s' * (count != 1)} of {study.name} on {runs[0].data}{each}: "
            f"{', '.join(said)}. By {metric}{of}."
        )
    )
    if results.of_test(metric, study.config):
        parts.append(
            Note(
                "These are numbers of a test split: they say how good the variants are, and a variant "
                "chosen by them is worse than they say."
            )
        )
    codes = {trial.record().get("identity", {}).get("code") for trial in study.trials} - {None}
    if len(codes) > 1:
        parts.append(Note(f"The trials were run with {len(codes)} states of the code or versions."))
    command = shlex.join(["python", "-m", "bigmodel_jax.ablate", *study.command])
    return [*parts, Code(command)]


def failures(study: Study) -> list[Part]:
    """Every trial that failed, with its error."""
    rows = []
    for trial in study.trials:
        record = trial.record()
        if record.get("state") == trials.FAILED:
            log = trial.beside(".log").relative_to(study.workdir)
            rows.append([trial.variant.name, str(trial.number), record["error"], str(log)])
    if not rows:
        return []
    are = (
        "1 trial has failed and is" if len(rows) == 1 else f"{len(rows)} trials have failed and are"
    )
    return [
        Note(f"{are} in no mean below: what they would have shown is not known."),
        Table(["failed variant", study.repeats.noun, "error", "log"], rows),
    ]


def _variants(study: Study, groups: Groups, metric: str, picture: Picture) -> list[Part]:
    values = {v: [r.values[metric] for r in group.values()] for v, group in groups.items() if group}
    alt = f"{metric} of each run, and the mean of each variant with its interval"
    sentence = (
        f"A dot is a run, a diamond their mean, a line its {tables.LEVEL} interval by Student's t."
    )
    parts: list[Part] = [Heading(metric), Paragraph(sentence)]
    parts.append(picture(f"{metric}-variants", alt, plots.estimates(values, metric, study.repeats)))
    parts += [tables.summaries(groups, metric, study.repeats), *tables.others(groups, metric)]
    if len(groups) > 1:
        kept, why = results.comparable(groups, metric, study.baseline)
        parts.append(Heading(f"Differences from {study.baseline}"))
        parts += tables.not_comparable(why, study.baseline)
        parts += tables.differences(kept, metric, study.baseline, study.repeats)
    keys = list(dict.fromkeys(key for v in study.variants.values() for key in v.overrides))
    if keys:
        given = {
            name: {k: overrides.shown(x) for k, x in variant.overrides.items()}
            for name, variant in study.variants.items()
        }
        itself = {key: overrides.shown(overrides.get(study.config, key)) for key in keys}
        parts += [Heading("What each variant sets"), tables.changes(given, keys, itself)]
    return parts


def learning(groups: Groups, picture: Picture, noun: str = "seed") -> list[Part]:
    """A figure for each of the most telling curves of training and of evaluations."""
    found: dict[str, dict[str, list]] = {}
    for variant, group in groups.items():
        for result in group.values():
            run = result.run
            watched = run.config["early_stopping"].get("metric")
            for metric, lines in curves.series(run.rows, run.during, watched).items():
                for where, points in lines.items() if metric != "learning_rate" else ():
                    found.setdefault(f"{where}/{metric}", {}).setdefault(variant, []).append(points)
    order = sorted(found, key=lambda name: name.startswith("train/"))
    if not order:
        return []
    sentence = f"A line is the mean over a variant's {noun}s, its band reaches from the lowest to the highest."
    parts: list[Part] = [Heading("Learning")]
    parts += [Paragraph(sentence)] if any(len(group) > 1 for group in groups.values()) else []
    for name in order[:CURVES]:
        alt = f"{name} of each variant over the steps"
        parts.append(picture(f"{name}-curves", alt, plots.bands(found[name], name)))
    return parts


def environment(study: Study, groups: Groups) -> list[Part]:
    """What the runs ran on, as the first of them says."""
    done = [result for group in groups.values() for result in group.values()]
    run, record = done[0].run, study.trials[0].record()
    found = run.environment
    versions = found.get("packages", {})
    rows = [["data", run.data], ["fingerprint", run.config["data"].get("fingerprint", "–")]]
    rows += [["commit", found["commit"]]] if found.get("commit") else []
    rows += [["code and versions", record.get("identity", {}).get("code", "–")]]
    rows += [[name, versions[name]] for name in ("jax", "flax", "optax") if versions.get(name)]
    rows += [["devices", ", ".join(found.get("devices", [])) or "–"]]
    return [Heading("Data and environment"), Table(["", ""], rows)]


def _first_error(study: Study) -> str:
    errors = [trial.record().get("error") for trial in study.trials]
    return next(filter(None, errors), "they are still to be run.")
