"""Evaluation counts each example once, whatever the size of its batches."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from bigmodel_jax import experiment, sharding
from bigmodel_jax.config import build
from bigmodel_jax.data.splits import split_name
from bigmodel_jax.errors import UserError
from bigmodel_jax.verifying.finding import DoesNotApply, Finding, rounding
from bigmodel_jax.verifying.subject import Subject

EXAMPLES = 200  # of the training part: the test part is looked at by nobody but a run, at its end
ONCE = "times that an example is counted"
COUNTS = ("examples", "tokens", ONCE)
SIZES = (24, 56, 256)  # none divides EXAMPLES: the last batch is padded


def check(subject: Subject) -> Finding:
    """The config's first evaluator, with the parameters of a short run, at three batch sizes."""
    specs = {k: v for k, v in subject.config["evals"].items() if "split" in v}
    if not specs:
        raise DoesNotApply("no evaluator of config.evals looks at a split")
    name, spec = next(iter(specs.items()))
    _, state = subject.straight
    mesh = sharding.make_mesh(subject.config["mesh"])
    with sharding.use(mesh, subject.config["rules"]):
        plan = experiment.make_plan(subject.short, subject.data_dir, mesh)
        open_source = functools.partial(
            experiment.open_source,
            plan.config,
            subject.data_dir,
            sharding.share(mesh),
            training=False,
        )
        options = {k: v for k, v in spec.items() if k not in ("every", "split", "batch_size")}
        variables = experiment.for_evaluation(state.variables)
        runtime: dict[str, Any] = dict(task=plan.task, open_source=open_source, mesh=mesh)
        found, split = [], part(plan)
        for size in SIZES:
            given = {**options, "split": split, "batch_size": size}
            evaluator = build("evals", given, **runtime)
            found.append(_numbers(evaluator, evaluator.run(variables)))
    once = {**found[0], **({ONCE: 1.0} if ONCE in found[0] else {})}
    distances = [_distance(other, once) for other in found]
    difference, where = max(distances, key=lambda pair: np.nan_to_num(pair[0], nan=np.inf))
    sizes = ", ".join(map(str, SIZES))
    what = f"{name}'s {len(once)} numbers of {split}, at batch sizes {sizes}"
    return Finding(what, difference, rounding(subject.config), where)


def part(plan) -> str:
    """A few examples of the training part, where it can be cut so."""
    splits = plan.config["data"].get("splits", {})
    few = f"{split_name(splits.get('train', 'train'))}[:{EXAMPLES}]"
    try:
        plan.source.check_split(few)
    except (AttributeError, UserError):
        return "val" if "val" in splits else "train"
    return few


def _numbers(evaluator, metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics, and how much was counted."""
    details = evaluator.details
    numbers = {**metrics, **{k: details[k] for k in COUNTS if k in details}}
    if "confusion_matrix" in details:
        numbers[ONCE] = float(np.sum(details["confusion_matrix"])) / evaluator.source.examples
    return numbers


def _distance(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[float, str]:
    """(the greatest relative difference, of which number); a count that differs is infinite."""
    if a.keys() != b.keys():
        return np.inf, f"{sorted(a.keys() ^ b.keys())[0]}, which one of the two lacks"
    worst, where = 0.0, ""
    for key, x in a.items():
        off = abs(x - b[key]) / max(abs(x), 1e-12)
        if np.isnan(x) and np.isnan(b[key]):  # of nothing there is no mean, either way
            off = 0.0
        off = np.inf if off and key in COUNTS else off
        if not off <= worst:
            worst, where = float(off), key
    return worst, where
