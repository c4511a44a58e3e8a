"""Splits by slice, as tfds writes them: "train", "train[:90%]", "train[-2000:]"."""

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
        raise UserError(
            f'The split {spec!r} is not like "train", "train[:90%]" or "train[-2000:]".'
        )
    name = match["name"]
    if name not in sizes:
        raise UserError(f"There is no split {name!r}.{nearest(name, sizes)}")
    size = sizes[name]
    start = _position(match["start"], size, spec) if (match["start"] or "").strip() else 0
    stop = _position(match["stop"], size, spec) if (match["stop"] or "").strip() else size
    if start >= stop:
        raise UserError(f"The split {spec!r} is empty: {name!r} has {size:,} examples.")
    return name, np.arange(start, stop)


def complete(splits: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, str]:
    """`splits` of a config, fitted to the splits that the data set really has.

    A data set with a validation split of its own uses that and trains on all of train; one without
    a test split gets it cut from train, 80/10/10.

    Args:
        splits: slices by name, e.g. dict(train="train[:90%]", val="train[90%:]", test="test").
        sizes: the data set's own splits.
    """
    splits = dict(splits)
    own_validation = "validation" in sizes
    if own_validation:
        splits |= {"train": "train", "val": "validation"}
    if splits.get("test") == "test" and "test" not in sizes:
        splits |= {"train": "train[:90%]" if own_validation else "train[:80%]"}
        splits |= {"test": "train[90%:]"}
        splits |= {} if own_validation else {"val": "train[80%:90%]"}
    return splits


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
