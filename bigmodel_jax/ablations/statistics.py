"""Means of a few runs, and whether two of them differ: Student's t, paired by seed, Holm's correction."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bigmodel_jax.errors import UserError

LEVEL = 0.95  # of intervals
ALPHA = 0.05  # of what is called a difference


class Summary(NamedTuple):
    """Of one variant's values; no spread and no interval of a single one."""

    count: int
    mean: float
    std: float | None
    low: float | None
    high: float | None


class Difference(NamedTuple):
    """Of a variant from the baseline, over the seeds that both have."""

    count: int
    mean: float
    low: float
    high: float
    p: float


def summarise(values: Sequence[float]) -> Summary:
    """Mean, standard deviation (n - 1), and the 95% interval of the mean by Student's t.

    It says where the mean over all seeds may lie, if the values are about normally distributed; not
    how far other examples might move it, which evals/bootstrap.py says.
    """
    array = np.asarray(values, np.float64)
    count, mean = len(array), float(array.mean())
    if count < 2:
        return Summary(count, mean, None, None, None)
    std = float(array.std(ddof=1))
    half = _quantile(count - 1) * std / math.sqrt(count)
    return Summary(count, mean, std, mean - half, mean + half)


def paired(values: Mapping[int, float], baseline: Mapping[int, float]) -> Difference:
    """The mean difference with its 95% interval, and p of the two-sided paired t-test (Student 1908).

    Pairs are runs of one seed: they share the order of the data, and their start where the shapes are
    alike, and what that does to both cancels.

    Args:
        values, baseline: by seed.

    Raises:
        UserError: they have fewer than two seeds in common.
    """
    seeds = sorted(values.keys() & baseline.keys())
    if len(seeds) < 2:
        raise UserError(
            f"A test of a difference needs at least 2 seeds, and there {'is' if seeds else 'are'} "
            f"{len(seeds) or 'none'} in common: --seeds=5 runs more."
        )
    change = np.array([values[s] - baseline[s] for s in seeds], np.float64)
    count, mean = len(change), float(change.mean())
    error = float(change.std(ddof=1)) / math.sqrt(count)
    half = _quantile(count - 1) * error
    return Difference(count, mean, mean - half, mean + half, _p(mean, error, count - 1))


def holm(ps: Sequence[float]) -> list[float]:
    """p values that hold for several comparisons together (Holm 1979): the step-down method.

    The smallest is multiplied by their number, the next by one less, and so on; none falls below one
    before it.
    """
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = highest
    return adjusted


def in_words(difference: Difference, p: float) -> str:
    """What may be said of a difference, given its p after correction."""
    if p >= ALPHA:
        return f"no evidence of a difference with {difference.count} seeds"
    return "higher" if difference.mean > 0 else "lower"


def _quantile(freedom: int) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))


def _p(mean: float, error: float, freedom: int) -> float:
    from scipy import stats

    if error == 0:  # every seed says the same
        return 0.0 if mean else 1.0
    return float(2 * stats.t.sf(abs(mean) / error, freedom))
