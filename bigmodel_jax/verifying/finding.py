"""What a law finds: a difference, and how large it may be."""

from typing import NamedTuple

import numpy as np

# Of losses, gradients and metrics whose sums ran in another order, in relative norm, by the dtype that
# a model computes in: some hundred roundings of float32, a few of bfloat16. What bfloat16's hides,
# --config.model.dtype=float32 shows.
ROUNDING = {"float32": 1e-5, "bfloat16": 3e-2, "float16": 5e-3}


class DoesNotApply(Exception):
    """A law says nothing of this config; the message says why."""


class Finding(NamedTuple):
    """Two ways to the same numbers.

    Attributes:
        compared: what, in words.
        difference: the greatest that was found; NaN and infinite ones break every law.
        tolerance: how large it may be; 0 is "the same bits".
        where: the array or the metric that differs the most, where that is known.
    """

    compared: str
    difference: float
    tolerance: float
    where: str = ""

    @property
    def holds(self) -> bool:
        return bool(self.difference <= self.tolerance)


def rounding(config) -> float:
    """ROUNDING of a config's model."""
    return ROUNDING[str(np.dtype(config["model"].get("dtype", "float32")))]
