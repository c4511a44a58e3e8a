"""How far a new run may be from those that were recorded."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

LEVEL = 0.95  # of honest repetitions, one in twenty lies outside
SHARE = 0.01  # of the value, where no spread is known


class Band(NamedTuple):
    """Where the mean of new runs is expected, and the rule that says so."""

    low: float
    high: float
    rule: str

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def band(values: Sequence[float], new: int = 1) -> Band:
    """The prediction interval for the mean of `new` runs, from the values of n recorded seeds.

    mean +- t(n - 1) * std * sqrt(1 / new + 1 / n), t Student's quantile, as n seeds tell little of
    their spread: with three t is 4.3. One seed, or several that agree to the last digit, tell nothing
    of it; then SHARE of the value is allowed, by convention and not by statistics.
    """
    mean, count = statistics.mean(values), len(values)
    std = statistics.stdev(values) if count > 1 else 0.0
    if not std:
        width, why = SHARE * abs(mean), "one seed" if count == 1 else "seeds that do not differ"
        return Band(mean - width, mean + width, f"{SHARE:.0%} of the value, of {why}")
    from scipy import stats

    t = float(stats.t.ppf((1 + LEVEL) / 2, count - 1))
    width = t * std * math.sqrt(1 / new + 1 / count)
    return Band(mean - width, mean + width, f"{LEVEL:.0%} prediction interval of {count} seeds")
