"""What runs have measured, side by side, and whether that may be compared."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bigmodel_jax import config as configs
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.reports.recorded import Run

# Of the metrics that evaluators give, which says most, first; and of which less is better.
TELLING = ("accuracy", "f1_micro", "f1", "exact", "bleu", "rmse", "loss")
LOWER = ("loss", "perplexity", "bits_per_byte", "mse", "rmse", "mae", "ece", "error")
MATTERS_NOT = ("every", "batch_size", "slices")  # of an evaluator, to its metrics


class Result(NamedTuple):
    """A finished run of a variant with a seed.

    Attributes:
        values: by full name, "val/accuracy"; of what is measured during training those of the chosen
            step, else the last.
        report: of the run, relative to the report it is named in, without suffix.
    """

    variant: str
    seed: int
    run: Run
    values: dict[str, float]
    report: str


Groups = dict[str, dict[int, Result]]  # by variant and seed


def measured(run: Run) -> dict[str, float]:
    """The values of a run; empty while it has none."""
    found: dict[str, float] = {}
    for name in (n for n in run.during if n not in run.results):
        row = run.said(name) or {}
        found |= {k: v for k, v in row.items() if k.startswith(f"{name}/") and v is not None}
    for name, result in run.results.items():
        found |= {f"{name}/{k}": v for k, v in result["metrics"].items() if v is not None}
    return found


def check_metric(metric: str, config: Mapping) -> None:
    """Raises a UserError for a metric of no evaluator of the config: "val/accuracy" is of `val`."""
    name, slash, _ = metric.partition("/")
    if not slash or name not in config["evals"]:
        raise UserError(f"--metric={metric} is of no evaluator.{nearest(name, config['evals'])}")


def chosen_metric(config: Mapping, values: Sequence[Mapping[str, float]]) -> str:
    """The metric that a comparison is by, where none is named.

    It is the one that the runs watch; else the most telling of the first evaluator, of validation
    rather than of a test split.

    Args:
        values: of the runs. What not all of them have is not chosen.
    """
    common = set.intersection(*map(set, values)) if values else set()
    watched = config["early_stopping"].get("metric")
    evals = sorted(config["evals"], key=lambda name: of_test(name, config))
    names = [f"{name}/{metric}" for name in evals for metric in TELLING]
    for metric in [*([watched] if watched else []), *names, *sorted(common)]:
        if metric in common:
            return metric
    raise UserError("The runs have no metric in common.")


def lower_is_better(metric: str, config: Mapping) -> bool:
    """Whether less of a metric is better."""
    watched = config["early_stopping"]
    if watched.get("metric") == metric:
        return watched.get("mode", "max") == "min"
    return metric.rpartition("/")[2] in LOWER


def evaluated_split(metric: str, config: Mapping) -> str:
    """Which examples a metric is of: "train[90%:]" for "val/accuracy"."""
    split = config["evals"].get(metric.partition("/")[0], {}).get("split", "")
    return config["data"].get("splits", {}).get(split, split)


def of_test(metric: str, config: Mapping) -> bool:
    """Whether a metric is of a test split, by which nothing may be chosen."""
    split = config["evals"].get(metric.partition("/")[0], {}).get("split", "")
    return any(word.startswith("test") for word in (split, evaluated_split(metric, config)))


def incomparable(metric: str, first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Why the values of a metric of two runs, by their resolved configs, say nothing together; or ""."""
    before, after = first["data"].get("fingerprint", ""), other["data"].get("fingerprint", "")
    if before != after:
        return f"their data differ (fingerprints {before[:8] or 'none'} and {after[:8] or 'none'})"
    name = metric.partition("/")[0]
    here, there = (
        {k: v for k, v in config["evals"].get(name, {}).items() if k not in MATTERS_NOT}
        for config in (first, other)
    )
    if changes := configs.differences(here, there):
        return f"config.evals.{name} differs ({'; '.join(changes)})"
    here, there = evaluated_split(metric, first), evaluated_split(metric, other)
    if here != there:
        return f"{metric} is of {here} in the one and of {there} in the other"
    return ""


def comparable(groups: Groups, metric: str, baseline: str) -> tuple[Groups, dict[str, str]]:
    """The variants that may be compared with the baseline by a metric, and why the others may not."""
    first = next((result.run.config for result in groups[baseline].values()), None)
    if first is None:
        return groups, {}
    why = {}
    for variant, group in groups.items():
        found = []
        for number, result in group.items():  # each fold is measured on examples of its own
            same = groups[baseline].get(number)
            with_it = same.run.config if same else first
            found.append(incomparable(metric, with_it, result.run.config))
        if any(found):
            why[variant] = next(filter(None, found))
    return {v: group for v, group in groups.items() if v not in why}, why
