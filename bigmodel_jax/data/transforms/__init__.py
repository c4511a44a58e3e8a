"""Changes to the tokens of a training text, on the host: `__call__(tokens, rng) -> tokens`.

A transform gets ids int32 [length], length 1 or more, and returns as many or fewer, but at least one.
All its randomness is from `rng`, which is a function of (seed, step, row): the same text is changed
the same way on any number of hosts, and after a resume. It is built with the run's `tokenizer`.
"""

import numpy as np

from bigmodel_jax.errors import UserError


def check_rate(rate: float) -> float:
    """`rate`, if it is a probability below 1."""
    if not 0 <= rate < 1:
        raise UserError(
            f"config.data.transforms: a rate is {rate}, but it is from 0 up to below 1."
        )
    return rate


def changeable(tokens: np.ndarray, tokenizer) -> np.ndarray:
    """Which tokens a transform may touch, bool [length]: not what stands between two texts."""
    separator = getattr(tokenizer, "separator", None)
    return tokens != (-1 if separator is None else separator)
