"""Where a search looks: ranges, logarithmic ranges and lists, a key each."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bigmodel_jax.ablations import overrides
from bigmodel_jax.errors import UserError

EXAMPLE = "optimizer.lr=1e-4..1e-1 log"


class Axis(NamedTuple):
    """What one key may be: a range, or one of `choices`, which are written as on the command line.

    Attributes:
        whole: the numbers of the range are whole.
    """

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()

    def value(self, config: Mapping, found: Any) -> Any:
        """What a point on the axis means in the config."""
        return overrides.value(config, self.key, found) if self.choices else found

    def distribution(self) -> Any:
        """The same for Optuna."""
        from optuna import distributions

        if self.choices:
            return distributions.CategoricalDistribution(self.choices)
        if self.whole:
            return distributions.IntDistribution(int(self.low), int(self.high), log=self.log)
        return distributions.FloatDistribution(self.low, self.high, log=self.log)

    def describe(self) -> str:
        """As --space takes it."""
        if self.choices:
            return f"{self.key}={','.join(self.choices)}"
        return f"{self.key}={self.low:.6g}..{self.high:.6g}{' log' if self.log else ''}"


def parse(config: Mapping, texts: Sequence[str]) -> list[Axis]:
    """The axes of --space, their ends tried in the config.

    Raises:
        UserError: one cannot be read, names a key that is not there, or has nothing to choose.
    """
    axes = [_axis(text) for text in texts]
    keys = [axis.key for axis in axes]
    if not axes:
        raise UserError(f"A search needs to know where: --space={EXAMPLE!r}.")
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise UserError(f"--space names {twice[0]} twice.")
    for axis in axes:
        for end in axis.choices or (axis.low, axis.high):
            given = int(end) if axis.whole else end
            overrides.apply(config, {axis.key: axis.value(config, given)})
    return axes


def _axis(text: str) -> Axis:
    key, written = overrides.assignment(text, EXAMPLE)
    match = re.fullmatch(r"(\S+?)\.\.(\S+?)(\s+log)?", written)
    if not match:
        choices = tuple(dict.fromkeys(overrides.split(written, ",")))
        if len(choices) < 2:
            raise UserError(f"--space={text!r} leaves nothing to choose: {EXAMPLE!r} is a range.")
        return Axis(key, choices=choices)
    try:
        low, high = float(match[1]), float(match[2])
    except ValueError as error:
        raise UserError(f"--space={text!r} is no range of numbers, as {EXAMPLE!r} is.") from error
    if not low < high or (match[3] and low <= 0):
        raise UserError(f"--space={text!r}: a range rises, and one with log begins above 0.")
    whole = all(re.fullmatch(r"[+-]?\d+", end) for end in match.groups()[:2])
    return Axis(key, low, high, bool(match[3]), whole)
