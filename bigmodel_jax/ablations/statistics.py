"""Means of a few runs, and whether two of them differ: Student's t, paired by seed, Holm's correction.

Or by fold of a cross-validation, with Nadeau and Bengio's correction.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bigmodel_jax.errors import UserError

LEVEL = 0.95  # of intervals
ALPHA = 0.05  # of what is called a difference


class Repeats(NamedTuple):
    """What the runs of one variant differ in.

    Attributes:
        noun: "seed" or "fold".
        overlap: examples judged over examples learnt from, where runs share what they learn from.
    """

    noun: str
    overlap: float

    def error(self, std: float, count: int) -> float:
        """The standard error of a mean of `count` runs.

        Folds share most of what they learn from, and so are less different than independent runs would
        be: std / sqrt(count) is too small. Nadeau and Bengio 2003, "Inference for the Generalization
        Error", equation 6: the variance times 1 / count + overlap.
        """
        return std * math.sqrt(1 / count + self.overlap)


SEEDS = Repeats("seed", 0.0)


def folds(count: int) -> Repeats:
    """Of a cross-validation with so many."""
    return Repeats("fold", 1 / (count - 1))


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


def summarise(values: Sequence[float], repeats: Repeats = SEEDS) -> Summary:
    """Mean, standard deviation (n - 1), and the 95% interval of the mean by Student's t.

    It says where the mean over all seeds may lie, if the values are about normally distributed; not
    how far other examples might move it, which evals/bootstrap.py says.
    """
    array = np.asarray(values, np.float64)
    count, mean = len(array), float(array.mean())
    if count < 2:
        return Summary(count, mean, None, None, None)
    std = float(array.std(ddof=1))
    half = _quantile(count - 1) * repeats.error(std, count)
    return Summary(count, mean, std, mean - half, mean + half)


def paired(
    values: Mapping[int, float], baseline: Mapping[int, float], repeats: Repeats = SEEDS
) -> Difference:
    """The mean difference with its 95% interval, and p of the two-sided paired t-test (Student 1908).

    Pairs are runs of one seed: they share the order of the data, and their start where the shapes are
    alike, and what that does to both cancels.

    Args:
        values, baseline: by seed, or by fold.

    Raises:
        UserError: they have fewer than two seeds in common.
    """
    seeds = sorted(values.keys() & baseline.keys())
    if len(seeds) < 2:
        raise UserError(
            f"A test of a difference needs at least 2 {repeats.noun}s, and there "
            f"{'is' if seeds else 'are'} {len(seeds) or 'none'} in common: --{repeats.noun}s=5 runs more."
        )
    change = np.array([values[s] - baseline[s] for s in seeds], np.float64)
    count, mean = len(change), float(change.mean())
    error = repeats.error(float(change.std(ddof=1)), count)
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


def in_words(difference: Difference, p: float, repeats: Repeats = SEEDS) -> str:
    """What may be said of a difference, given its p after correction."""
    if p >= ALPHA:
        return f"no evidence of a difference with {difference.count} {repeats.noun}s"
    return "higher" if difference.mean > 0 else "lower"


def _quantile(freedom: int) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))


def _p(mean: float, error: float, freedom: int) -> float:
    from scipy import stats

    if error == 0:  # every seed says the same
        return 0.0 if mean else 1.0
    return float(2 * stats.t.sf(abs(mean) / error, freedom))
