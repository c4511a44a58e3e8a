"""Leaves out tokens at random (Iyyer et al. 2015), so that no single one can be relied upon."""

import numpy as np

from bigmodel_jax.data.transforms import changeable, check_rate


class Transform:
    """Deletes each token with probability `rate`; where all would go, a random one stays."""

    def __init__(self, tokenizer, rate: float = 0.1):
        self._tokenizer, self._rate = tokenizer, check_rate(rate)

    def __call__(self, tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        draws = rng.random(len(tokens))
        kept = (draws >= self._rate) | ~changeable(tokens, self._tokenizer)
        return tokens[kept] if kept.any() else tokens[[draws.argmax()]]
