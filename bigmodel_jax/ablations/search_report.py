"""The report of a search: the best trials, where they lie, and what to do with them."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from bigmodel_jax.ablations import overrides, report, results, search_plots, trials
from bigmodel_jax.ablations.report import Study
from bigmodel_jax.ablations.spaces import Axis
from bigmodel_jax.reports import recorded
from bigmodel_jax.reports.make import number
from bigmodel_jax.reports.page import Code, Heading, Link, Paragraph, Part, Table
from bigmodel_jax.reports.plots.style import PALETTE

Points = Mapping[int, Mapping]  # what each trial had, by its number and key, as Optuna gave it


def make(
    study: Study, axes: Sequence[Axis], metric: str, points: Points, shares: Mapping[str, float]
) -> Path:
    """Writes plots/, report.md and report.html into the study's directory; the path of the last.

    Args:
        shares: of importance, by key; empty where that is not known.

    Raises:
        UserError: no trial has finished.
    """
    groups, picture = report.gather(study), report.pictures(study)
    report.metric_of(study, groups)
    lower = results.lower_is_better(metric, study.config)
    values = {int(v): r.values[metric] for v, group in groups.items() for r in group.values()}
    order = sorted(values, key=lambda n: (values[n] if lower else -values[n], n))
    parts = [*report.opening(study, groups, metric), *report.failures(study)]
    parts += [Heading("The best trials"), _table(study, axes, metric, order, values)]
    parts += [*_next(study, order[0])]
    figure = search_plots.history(values, _pruned(study, metric), metric, lower)
    parts += [Heading("The search"), picture("history", f"{metric} of each trial", figure)]
    if len(values) > 1:
        found = [values[n] for n in order]
        figure = search_plots.parallel(axes, [points[n] for n in order], found, metric, lower)
        parts.append(picture("parallel", f"What each trial had, and its {metric}", figure))
        parts.append(Paragraph("Orange is the best trial; the bluer the others, the better."))
    if shares:
        parts += [
            Paragraph(
                "Which keys tell good trials from the others (PED-ANOVA, Watanabe et al. 2023), within "
                f"this space and by {len(values)} trials."
            ),
            picture(
                "importance", "The share of importance of each key", search_plots.importance(shares)
            ),
        ]
    best = {f"{n:03}": groups[f"{n:03}"] for n in order[: len(PALETTE)]}
    return report.write(
        study, [*parts, *report.learning(best, picture), *report.environment(study, groups)]
    )


def _table(study: Study, axes: Sequence[Axis], metric: str, order, values) -> Table:
    """A row a trial, the best first, then those that were ended early."""
    made = {int(trial.variant.name): trial for trial in study.trials}
    pruned = _pruned(study, metric)
    rows = []
    for n in [*order, *pruned]:
        trial = made[n]
        path = f"{trial.run.relative_to(study.workdir)}/report"
        value = (
            Link(number(values[n]), path) if n in values else f"{number(pruned[n])} (ended early)"
        )
        given = [trial.variant.overrides[axis.key] for axis in axes]
        had = [f"{x:.4g}" if isinstance(x, float) else overrides.shown(x) for x in given]
        rows.append([trial.variant.name, value, *had])
    return Table(["trial", metric, *(axis.key for axis in axes)], rows, numbers=True)


def _next(study: Study, best: int) -> list[Part]:
    """The command that tries the best against the config as it is."""
    given = next(t.variant.overrides for t in study.trials if int(t.variant.name) == best)
    changes = "; ".join(f"{k}={_written(v)}" for k, v in given.items())
    words = ["python", "-m", "bigmodel_jax.ablate", f"--config={study.name}"]
    command = shlex.join([*words, f"--diff=found: {changes}", "--seeds=5"])
    sentence = (
        "The best of many is lucky, too: one seed, chosen by the very number that is shown. Other seeds "
        "say what it is worth beside the config as it is:"
    )
    return [Paragraph(sentence), Code(command)]


def _written(value) -> str:
    return repr(value) if isinstance(value, (float, tuple)) else str(value)


def _pruned(study: Study, metric: str) -> dict[int, float]:
    """What the trials that were ended early had reached."""
    found = {}
    for trial in study.trials:
        if trial.record().get("state") == trials.PRUNED:
            value = results.measured(recorded.load(trial.run)).get(metric)
            found |= {} if value is None else {int(trial.variant.name): value}
    return found
