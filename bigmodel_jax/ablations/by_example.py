"""Two runs on the same examples: how often only one of them is right, and whether that is chance.

It says what another sample of examples might show of these very runs; another seed of each might show
something else, which ablations/statistics.py is for.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bigmodel_jax.ablations import statistics
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals import bootstrap, slices
from bigmodel_jax.reports.page import Code, Heading, Paragraph, Part, Table
from bigmodel_jax.reports.recorded import Run

# Evaluators that leave what was said of each example.
KEEPING = ("classification", "multilabel", "regression", "choices", "spans")


class Pair(NamedTuple):
    """What a run is beyond another.

    Attributes:
        metric: that is compared, a mean over examples.
        difference: of the other's mean from the first's.
        low, high, p: of that, by the paired bootstrap.
        only: how many examples only the first, and only the other, has right; None of numbers.
        exact: p of McNemar's test of these two.
    """

    metric: str
    examples: int
    difference: float
    low: float
    high: float
    p: float
    only: tuple[int, int] | None = None
    exact: float | None = None


def mcnemar(only_first: int, only_other: int) -> float:
    """p, two-sided, that two classifiers err equally often (McNemar 1947), exact.

    Of the examples that one alone has right, each is as likely to be the one's as the other's: the
    number of either is binomial with 1/2, and both tails count.
    """
    from scipy import stats

    count = only_first + only_other
    return min(1.0, 2 * float(stats.binom.cdf(min(only_first, only_other), count, 0.5)))


def compare(first: Mapping, other: Mapping, metric: str) -> Pair:
    """Two runs by what they said of each example.

    Args:
        first, other: arrays of results/NAME.npz.
        metric: without the evaluator's name. Where the arrays have no value of each example for it,
            it is slices.scores' that is compared.

    Raises:
        UserError: the examples are not the same.
    """
    (name, one), (_, two) = (scores(arrays, metric) for arrays in (first, other))
    if len(one) != len(two):
        raise UserError(
            f"The two runs were evaluated on other examples, {len(one):,} and {len(two):,}: nothing "
            "can be said example by example."
        )
    if not np.array_equal(first.get("labels", 0), other.get("labels", 0)):
        raise UserError(
            "The two runs were evaluated on other examples, for their labels differ: nothing can be "
            "said example by example."
        )
    difference = float(two.mean()) - float(one.mean())
    found = Pair(name, len(one), difference, *bootstrap.paired(one, two))
    if one.dtype != bool or two.dtype != bool:
        return found
    only = int((one & ~two).sum()), int((two & ~one).sum())
    return found._replace(only=only, exact=mcnemar(*only))


def scores(arrays: Mapping[str, np.ndarray], metric: str) -> tuple[str, np.ndarray]:
    """(a metric, what each example has of it, bool where it is 0 or 1).

    The metric asked for, where there is a value of it for each example; else the F1 of answers, and
    slices.scores' of labels.
    """
    if metric not in arrays and "labels" in arrays:
        return slices.scores(arrays)
    name = metric if metric in arrays else "f1"
    found = arrays[name]
    return name, found.astype(bool) if np.isin(found, (0, 1)).all() else found


def parts(runs: Mapping[str, Run], metric: str) -> list[Part]:
    """The first run against each other, by the evaluator of a metric, or how to get what is missing.

    Nothing where that evaluator keeps nothing of single examples.

    Args:
        runs: by name.
        metric: "test/accuracy".
    """
    evaluator, _, last = metric.partition("/")
    spec = next(iter(runs.values())).config["evals"].get(evaluator, {})
    if spec.get("name") not in KEEPING:
        return []
    told: list[Part] = [Heading(f"Example by example, on {evaluator}")]
    arrays = {name: _arrays(run, evaluator) for name, run in runs.items()}
    if missing := [run for name, run in runs.items() if not arrays[name]]:
        lines = [
            f"python -m bigmodel_jax.evaluate --workdir={shlex.quote(str(run.path))} "
            f"--split={shlex.quote(spec['split'])}"
            for run in missing
        ]
        why = f"It needs what the runs said of each example, results/{evaluator}.npz, which these make:"
        return [*told, Paragraph(why), Code("\n".join(lines))]
    baseline, *others = runs
    pairs = {name: compare(arrays[baseline], arrays[name], last) for name in others}
    told.append(Paragraph(_sentence(baseline, next(iter(pairs.values())), len(pairs))))
    return [*told, _table(pairs, baseline)]


def _sentence(baseline: str, pair: Pair, several: int) -> str:
    corrected = f", corrected by Holm's method for {several} comparisons" if several > 1 else ""
    tests = f"p of the paired bootstrap{corrected}"
    if pair.only is not None:
        tests = f"p of McNemar's exact test{corrected}"
    return (
        f"Against {baseline}, on the same {pair.examples:,} examples: the difference in {pair.metric}, its "
        f"95 % interval by the paired bootstrap, and {tests}. It is of these runs alone: other "
        "seeds of the same configs may differ by more."
    )


def _table(pairs: Mapping[str, Pair], baseline: str) -> Table:
    ps = [pair.p if pair.exact is None else pair.exact for pair in pairs.values()]
    corrected = statistics.holm(ps)
    right = all(pair.only is not None for pair in pairs.values())
    columns = [f"only {baseline} right", "only it right"] if right else []
    rows: list[Sequence[str]] = []
    for (name, pair), p in zip(pairs.items(), corrected, strict=True):
        only = [f"{count:,}" for count in pair.only or ()]
        interval = f"{pair.low:+.4f} to {pair.high:+.4f}"
        word = "higher" if pair.difference > 0 else "lower"
        words = word if p < statistics.ALPHA else "no evidence of a difference"
        shown = f"{p:.3f}" if p >= 0.001 else "< 0.001"
        rows.append([name, f"{pair.difference:+.4f}", interval, *only, shown, words])
    header = ["run", "difference", "95 % interval", *columns, "p", "in words"]
    return Table(header, rows, numbers=True)


def _arrays(run: Run, evaluator: str) -> dict[str, np.ndarray]:
    file = run.path / "results" / f"{evaluator}.npz"
    if not file.is_file():
        return {}
    with np.load(file) as held:
        return dict(held)
