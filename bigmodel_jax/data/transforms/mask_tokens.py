"""Hides tokens at random behind the tokenizer's mask, so that the model must do without them."""

import numpy as np

from bigmodel_jax.data.transforms import changeable, check_rate
from bigmodel_jax.errors import UserError


class Transform:
    """Replaces each token by the mask with probability `rate`.

    Raises:
        UserError: the tokenizer has no mask.
    """

    def __init__(self, tokenizer, rate: float = 0.1):
        self._tokenizer, self._rate = tokenizer, check_rate(rate)
        mask = getattr(tokenizer, "mask", None)
        if mask is None:
            raise UserError(
                "config.data.transforms has mask_tokens, but config.data.tokenizer has no mask; "
                "word_dropout needs none."
            )
        self._mask = np.int32(mask)

    def __call__(self, tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        hidden = (rng.random(len(tokens)) < self._rate) & changeable(tokens, self._tokenizer)
        return np.where(hidden, self._mask, tokens)
