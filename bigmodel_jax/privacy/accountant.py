"""How private a number of noisy steps is: epsilon at a delta, by Renyi differential privacy.

Two sets of examples are neighbours where one has an example more (add or remove). Each step takes
every example by a chance of its own (Poisson sampling), sums gradients of norms up to a bound, and adds
Gaussian noise of `noise` times that bound.
"""

import numpy as np
from scipy.special import gammaln, logsumexp

ORDERS = np.array([*range(2, 129), *range(144, 513, 16)])


def rdp(rate: float, noise: float) -> np.ndarray:
    """The Renyi divergence of one step at each of ORDERS; of several steps they add up.

    Mironov, Talwar and Zhang 2019, section 3.3, whose sum for integer orders is exact.

    Args:
        rate: the chance of an example to be in a batch.
        noise: the noise's standard deviation, over the bound of a gradient's norm.
    """
    if rate == 1:
        return ORDERS / (2 * noise**2)
    found = []
    for order in ORDERS:
        k = np.arange(order + 1)
        choices = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
        chances = k * np.log(rate) + (order - k) * np.log1p(-rate)
        found.append(logsumexp(choices + chances + (k * k - k) / (2 * noise**2)) / (order - 1))
    return np.array(found)


def epsilon(rate: float, noise: float, steps: int, delta: float) -> float:
    """The least epsilon at `delta` after some steps, over all orders (Canonne et al. 2020, prop. 12).

    The older conversion (Mironov 2017, prop. 3), rdp + log(1 / delta) / (order - 1), by which much is
    published, says more for the same steps.
    """
    if not steps:
        return 0.0
    lost = np.log1p(-1 / ORDERS) - (np.log(delta) + np.log(ORDERS)) / (ORDERS - 1)
    return max(0.0, float(np.min(steps * rdp(rate, noise) + lost)))
