"""Any runs side by side: configs as a diff, environments, metrics, and tests where there are seeds."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bigmodel_jax import config as configs
from bigmodel_jax import rundir
from bigmodel_jax.ablations import by_example, results, tables
from bigmodel_jax.ablations.results import Groups, Result
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.reports import recorded
from bigmodel_jax.reports.page import Heading, Note, Paragraph, Part, Table, to_console, to_html
from bigmodel_jax.reports.recorded import Run


def perform(paths: Sequence[str], metric: str = "", html: str = "") -> None:
    """What `python -m bigmodel_jax.compare` does.

    Args:
        metric: "" for the one that the first run watches, or the most telling.
        html: a file to be written, too, if any.

    Raises:
        UserError: fewer than two runs, one that has measured nothing, or none that is comparable with
            the first.
    """
    groups = gather(paths, Path(html).expanduser().absolute().parent if html else Path.cwd())
    everything = [result for group in groups.values() for result in group.values()]
    metric = metric or results.chosen_metric(
        everything[0].run.config, [result.values for result in everything]
    )
    for result in everything:
        if metric not in result.values:
            raise UserError(
                f"{result.run.path} has not measured {metric!r}.{nearest(metric, result.values)}"
            )
    baseline = next(iter(groups))
    kept, why = results.comparable(groups, metric, baseline)
    parts = [*_unfinished(everything), *_configs(groups), *_environments(groups)]
    parts += tables.not_comparable(why, baseline)
    if len(kept) > 1 or len(groups) == 1:
        parts += [Heading(metric), tables.summaries(kept, metric), *tables.others(kept, metric)]
    if len(kept) > 1:
        parts += [
            Heading(f"Differences from {baseline}"),
            *tables.differences(kept, metric, baseline),
        ]
    if not why and (len(everything) == 2 or len(groups) == len(everything)):
        parts += by_example.parts(_single(groups), metric)
    print(to_console(parts), flush=True)
    if html:
        rundir.replace(Path(html).expanduser(), to_html("Runs compared", parts))
    if why and len(kept) < 2:
        name, reason = next(iter(why.items()))
        raise UserError(f"{baseline} and {name} are not comparable: {reason}.")


def gather(paths: Sequence[str], place: Path) -> Groups:
    """The runs by variant and seed: those of one config but for its seed are one variant.

    Two runs of the same config and seed are of two variants, which should then measure the same.

    Args:
        place: where the page lies that leads to their reports.
    """
    if len(paths) < 2:
        raise UserError("Which runs? python -m bigmodel_jax.compare RUN RUN ... names two or more.")
    runs = [recorded.load(path) for path in paths]
    found: list[dict[int, Run]] = []
    for run in runs:
        mine = next(
            (
                g
                for g in found
                if run.config["seed"] not in g and _alike(run, next(iter(g.values())))
            ),
            None,
        )
        if mine is None:
            found.append(mine := {})
        mine[run.config["seed"]] = run
    return {
        name: {seed: _result(name, seed, run, place) for seed, run in group.items()}
        for name, group in zip(_names(found), found, strict=True)
    }


def _single(groups: Groups) -> dict[str, Run]:
    """The runs by name: of a variant of several, also its seed."""
    return {
        name if len(group) == 1 else f"{name}, seed {seed}": result.run
        for name, group in groups.items()
        for seed, result in group.items()
    }


def _result(name: str, seed: int, run: Run, place: Path) -> Result:
    values = results.measured(run)
    if not values:
        raise UserError(f"{run.path} has measured nothing yet.")
    return Result(name, seed, run, values, os.path.relpath(run.path / "report", place))


def _alike(one: Run, other: Run) -> bool:
    return _lasting(one) == _lasting(other)


def _lasting(run: Run) -> dict[str, Any]:
    left_out = ("seed", *configs.NEUTRAL)
    return _leaves({k: v for k, v in run.config.items() if k not in left_out})


def _names(groups: Sequence[Mapping[int, Run]]) -> list[str]:
    """What tells the groups' directories apart, without the seed."""
    paths = [str(run.path) for group in groups for run in group.values()]
    above = os.path.commonpath(paths)
    names = [os.path.relpath(next(iter(group.values())).path, above) for group in groups]
    short = [re.sub(r"[-/,]?seed[-=]\d+$", "", name) or name for name in names]
    return short if len(set(short)) == len(names) else names


def _leaves(spec: Mapping, prefix: str = "") -> dict[str, Any]:
    found = {}
    for key, value in spec.items():
        if isinstance(value, Mapping) and value:
            found |= _leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _differing(columns: Mapping[str, Mapping[str, Any]], absent: str) -> list[list[str]]:
    """A row for each key in which the columns differ."""
    keys = sorted({key for column in columns.values() for key in column})
    rows = [
        [k, *(json.dumps(c[k], default=str) if k in c else absent for c in columns.values())]
        for k in keys
    ]
    return [row for row in rows if len(set(row[1:])) > 1]


def _configs(groups: Groups) -> list[Part]:
    columns = {name: _lasting(next(iter(group.values())).run) for name, group in groups.items()}
    rows = _differing(columns, "–")
    parts: list[Part] = [Heading("Config")]
    return [
        *parts,
        Table(["key", *columns], rows) if rows else Paragraph("The configs are the same."),
    ]


def _environments(groups: Groups) -> list[Part]:
    columns = {}
    for name, group in groups.items():
        found = next(iter(group.values())).run.environment
        told = {k: found.get(k) for k in ("python", "platform", "devices", "cpu_cores", "commit")}
        columns[name] = {
            **told,
            **found.get("packages", {}),
            "uncommitted changes": bool(found.get("diff")),
        }
    rows = _differing(columns, "–")
    return [Heading("Environment"), Table(["", *columns], rows)] if rows else []


def _unfinished(found: Sequence[Result]) -> list[Part]:
    notes: list[Part] = []
    for result in found:
        last = max((row["step"] for row in result.run.rows), default=0)
        total = result.run.about.get("steps", last)
        stops = result.run.config["early_stopping"].get("patience")
        if last < total and not result.run.results and not stops:
            notes.append(Note(f"{result.run.path} is at step {last:,} of {total:,}."))
    return notes
