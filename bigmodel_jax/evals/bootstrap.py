"""How far a mean might be off for the examples it happens to be of: bootstrap intervals and a test."""

import numpy as np

SAMPLES = 1000


def bootstrap(values: np.ndarray, seed: int = 0, samples: int = SAMPLES) -> tuple[float, float]:
    """The 95% interval of the mean of values, one an example [examples]: (low, high).

    The percentile interval of Efron (1979): as many examples are drawn from them, with replacement,
    `samples` times. Examples count as independent; of questions on one text they are not quite, and
    the interval is somewhat too narrow.
    """
    low, high = np.percentile(_means(values, seed, samples), [2.5, 97.5])
    return float(low), float(high)


def paired(
    first: np.ndarray, other: np.ndarray, seed: int = 0, samples: int = SAMPLES
) -> tuple[float, float, float]:
    """(low, high) of the mean of other - first on the same examples, and p that there is no difference.

    Of each example drawn both values are taken, so that what makes an example hard for both cancels.
    p is two-sided: how often a drawn mean is as far from the mean of all as that is from 0 (Efron and
    Tibshirani 1993, section 16.4), both counted among the draws themselves, so that it is never 0.
    """
    change = np.asarray(other, np.float64) - np.asarray(first, np.float64)
    means, mean = _means(change, seed, samples), change.mean()
    low, high = np.percentile(means, [2.5, 97.5])
    as_far = (np.abs(means - mean) >= abs(mean) * (1 - 1e-9)).sum()
    return float(low), float(high), float((1 + as_far) / (1 + samples))


def _means(values, seed, samples):
    values = np.asarray(values, np.float64)
    rng, count = np.random.default_rng(seed), len(values)
    return np.array([values[rng.integers(0, count, count)].mean() for _ in range(samples)])
