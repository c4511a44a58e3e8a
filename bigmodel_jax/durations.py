"""Durations are strings: "10 epochs", "5000 steps", "3e6 examples", "5%", "10 minutes"."""

import math
import re
from dataclasses import dataclass

from bigmodel_jax.errors import UserError, nearest

_SECONDS = {"second": 1, "minute": 60, "hour": 3600}


@dataclass(frozen=True)
class Clock:
    """What turns a duration into steps.

    Attributes:
        steps_per_epoch: of the training source.
        batch_size: examples a step, over all processes.
        total: steps of the whole run, for percentages; None until it is known.
    """

    steps_per_epoch: int
    batch_size: int
    total: int | None = None

    def steps(self, duration: str | int, what: str) -> int:
        """The duration in steps, at least 1; `what` is its place in the config, for errors.

        Raises:
            UserError: the duration cannot be read, or its unit has no meaning here.
        """
        number, unit = _parse(duration, what)
        sizes = {
            "step": 1.0,
            "epoch": float(self.steps_per_epoch),
            "example": 1.0 / self.batch_size,
            "%": self.total / 100 if self.total else None,
        }
        size = sizes.get(unit)
        if size is None:
            known = [f"{k}s" if k != "%" else k for k, v in sizes.items() if v]
            raise UserError(f"{what}: {duration!r} cannot be counted here.{nearest(unit, known)}")
        return max(1, math.ceil(number * size - 1e-9))


def seconds(duration: str | int, what: str) -> float | None:
    """The duration in seconds, or None where it is not one of time ("500 steps")."""
    number, unit = _parse(duration, what)
    return number * _SECONDS[unit] if unit in _SECONDS else None


def _parse(duration, what):
    match = re.fullmatch(
        r"\s*(\d[\d_]*\.?\d*(?:e[+-]?\d+)?)\s*([a-z]*|%)\s*", str(duration).lower()
    )
    if not match:
        raise UserError(f'{what}: {duration!r} is not a duration such as "10 epochs", "500 steps".')
    number, unit = match.groups()
    return float(number.replace("_", "")), unit.removesuffix("s") if len(
        unit
    ) > 1 else unit or "step"
