"""Exchanges neighbouring tokens at random (after Wei and Zou 2019, who exchange any two)."""

import numpy as np

from bigmodel_jax.data.transforms import changeable, check_rate


class Transform:
    """Exchanges a token with the next one with probability `rate`; none is moved twice."""

    def __init__(self, tokenizer, rate: float = 0.05):
        self._tokenizer, self._rate = tokenizer, check_rate(rate)

    def __call__(self, tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        free = changeable(tokens, self._tokenizer)
        chosen = (rng.random(len(tokens) - 1) < self._rate) & free[:-1] & free[1:]
        # Of a run of chosen neighbours every other one is exchanged, from the first on.
        place = np.arange(len(chosen))
        begins = np.maximum.accumulate(np.where(chosen, -1, place)) + 1
        first = place[chosen & ((place - begins) % 2 == 0)]
        swapped = tokens.copy()
        swapped[first], swapped[first + 1] = tokens[first + 1], tokens[first]
        return swapped
