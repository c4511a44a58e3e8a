"""Splits by slice, as tfds writes them: "train", "train[:90%]", "train[-2000:]", "test[10%:20%]"."""

import math
import re
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from bigmodel_jax.errors import UserError, nearest

_SPLIT = re.compile(r"\s*(?P<name>[^\[\]\s]+)\s*(?:\[(?P<start>[^:\]]*):(?P<stop>[^:\]]*)\])?\s*")
_NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<value>\d[\d_]*(?:\.\d+)?)(?P<percent>%?)")


def parse(spec: str, sizes: Mapping[str, int]) -> tuple[str, np.ndarray]:
    """The split that `spec` names and the positions in it, int64 `[count]`, increasing.

    Percentages are rounded to the nearest example (halves up), those from the end counted from the
    start first, so that "train[:90%]", "train[90%:]" and "train[-10%:]" cut at the same place.

    Raises:
        UserError: malformed, no such split, beyond its end, or empty.
    """
    match = _SPLIT.fullmatch(spec)
    if not match:
        raise UserError(f'The split {spec!r} is not like "train", "train[:90%]" or "train[-2000:]".')
    name = match["name"]
    if name not in sizes:
        raise UserError(f"There is no split {name!r}.{nearest(name, sizes)}")
    size = sizes[name]
    start = _position(match["start"], size, spec) if (match["start"] or "").strip() else 0
    stop = _position(match["stop"], size, spec) if (match["stop"] or "").strip() else size
    if start >= stop:
        raise UserError(f"The split {spec!r} is empty: {name!r} has {size:,} examples.")
    return name, np.arange(start, stop)


def _position(text: str, size: int, spec: str) -> int:
    """One end of a slice as a position in [0, size]."""
    match = _NUMBER.fullmatch(text.strip())
    if not match or ("." in match["value"] and not match["percent"]):
        raise UserError(f"The split {spec!r}: {text!r} is neither a number nor a percentage.")
    value = Fraction(match["value"].replace("_", ""))
    whole = 100 if match["percent"] else size
    if value > whole:
        raise UserError(
            f"The split {spec!r}: {text.strip()} is more than there are ({size:,} examples)."
        )
    if match["sign"] == "-":
        value = whole - value
    return math.floor(value * size / 100 + Fraction(1, 2)) if match["percent"] else int(value)
