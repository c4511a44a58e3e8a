"""How far a mean might be off for the examples it happens to be of: bootstrap intervals."""

import numpy as np

SAMPLES = 1000


def bootstrap(values: np.ndarray, seed: int = 0, samples: int = SAMPLES) -> tuple[float, float]:
    """The 95% interval of the mean of values, one an example [examples]: (low, high).

    The percentile interval of Efron (1979): as many examples are drawn from them, with replacement,
    `samples` times. Examples count as independent; of questions on one text they are not quite, and
    the interval is somewhat too narrow.
    """
    values = np.asarray(values, np.float64)
    rng, count = np.random.default_rng(seed), len(values)
    means = [values[rng.integers(0, count, count)].mean() for _ in range(samples)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
