"""Splits by slice, as tfds writes them, by fold, or by a hash of the text.

"train", "train[:90%]", "train[-2000:]"             by position
"train[fold 2/5]", "train[not fold 2/5]"            the second of five equal parts, and the others
"train[fold 2/5 seed 7]"                            the same, of the examples mixed by a seed
"train[hash :90%]", "train[hash 90%:]"              by the text: doubles come to lie on one side, and
                                                    an example stays on its side when data are added
"""

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from bigmodel_jax.errors import UserError, nearest

_SPLIT = re.compile(r"\s*(?P<name>[^\[\]\s]+)\s*(?:\[(?P<part>[^\[\]]*)\])?\s*")
_SLICE = re.compile(r"\s*(?P<hash>hash\b)?(?P<start>[^:]*):(?P<stop>[^:]*)")
_FOLD = re.compile(
    r"\s*(?P<others>not\s+)?fold\s+(?P<number>\d+)\s*/\s*(?P<count>\d+)\s*"
    r"(?:seed\s+(?P<seed>\d+)\s*)?"
)
_NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<value>\d[\d_]*(?:\.\d+)?)(?P<percent>%?)")

LEAST = 8  # examples of which every part of 80/10/10 has one


def split_name(spec: str) -> str:
    """The data set's own split of which `spec` is a part."""
    return spec.partition("[")[0].strip()


def parse(
    spec: str, sizes: Mapping[str, int], hashes: Callable[[], np.ndarray] | None = None
) -> tuple[str, np.ndarray]:
    """The split that `spec` names and the positions in it, int64 `[count]`, increasing.

    Percentages are rounded to the nearest example (halves up), those from the end counted from the
    start first, so that "train[:90%]", "train[90%:]" and "train[-10%:]" cut at the same place.

    Args:
        hashes: gives those of the texts of the whole split, int64 [size], for a split by hash
            (data/hashes.py). Without it such a split is only checked, and all positions come back.

    Raises:
        UserError: malformed, no such split, beyond its end, or empty.
    """
    match = _SPLIT.fullmatch(spec)
    if not match:
        raise _malformed(spec)
    name, part = match["name"], match["part"]
    if name not in sizes:
        raise UserError(f"There is no split {name!r}.{nearest(name, sizes)}")
    size = sizes[name]
    if part is None:
        positions = np.arange(size)
    elif fold := _FOLD.fullmatch(part):
        positions = _fold(fold, size, spec)
    elif match := _SLICE.fullmatch(part):
        start, stop = match["start"].strip(), match["stop"].strip()
        if match["hash"]:
            positions = _hashed(_percentages((start, stop), spec), size, hashes)
        else:
            first = _position(start, size, spec) if start else 0
            positions = np.arange(first, _position(stop, size, spec) if stop else size)
    else:
        raise _malformed(spec)
    if not len(positions):
        raise UserError(
            f"The split {spec!r} is empty: {name!r} has {size:,} examples. Name another part of it "
            "in config.data.splits."
        )
    return name, positions


def complete(splits: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, str]:
    """`splits` of a config, fitted to the splits that the data set really has.

    A data set with a validation split of its own uses that and trains on all of train; one without
    a test split gets it cut from train, 80/10/10. Folds and hashes stay as they are: who writes them
    means them.

    Args:
        splits: slices by name, e.g. dict(train="train[:90%]", val="train[90%:]", test="test").
        sizes: the data set's own splits.

    Raises:
        UserError: folds or hashes, and no test split; or too few examples to cut one.
    """
    splits = dict(splits)
    untested = splits.get("test") == "test" and "test" not in sizes
    if any(re.search(r"\[.*(fold|hash)", spec) for spec in splits.values()):
        if untested:
            raise UserError(
                f"The data have no test split, and config.data.splits cuts train into "
                f"{splits['train']!r}: name its test part too. For cross-validation that is the fold "
                'itself, --config.data.splits.test="train[fold 1/5]".'
            )
        return splits
    own_validation = "validation" in sizes
    if own_validation:
        splits |= {"train": "train", "val": "validation"}
    if untested:
        splits |= {"train": "train[:90%]" if own_validation else "train[:80%]"}
        splits |= {"test": "train[90%:]"}
        splits |= {} if own_validation else {"val": "train[80%:90%]"}
        if sizes["train"] < LEAST and not own_validation:
            raise UserError(
                f"{sizes['train']} example{'s' * (sizes['train'] != 1)} are too few to be cut 80/10/10 "
                f"into train, val and test: there must be at least {LEAST}."
            )
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


def _malformed(spec):
    return UserError(
        f'The split {spec!r} is not like "train", "train[:90%]", "train[-2000:]", '
        '"train[fold 2/5]", "train[not fold 2/5]" or "train[hash :90%]".'
    )


def _fold(match, size, spec):
    """Positions of one of several parts whose sizes differ by at most one, or of all others.

    RandomState, because its streams are frozen: a fold is the same in every version of NumPy.
    """
    number, count = int(match["number"]), int(match["count"])
    if count < 2:
        raise UserError(f"The split {spec!r}: there must be at least 2 folds, as in 'fold 1/5'.")
    if not 1 <= number <= count:
        raise UserError(f"The split {spec!r}: fold must be 1/{count} to {count}/{count}.")
    if count > size:
        raise UserError(f"The split {spec!r}: {size:,} examples cannot make {count} folds.")
    start, stop = ((number - 1) * size // count, number * size // count)
    inside = np.arange(size)
    if match["seed"]:
        inside = np.random.RandomState(int(match["seed"])).permutation(size)
    inside = (inside >= start) & (inside < stop)
    return np.flatnonzero(~inside if match["others"] else inside)


def _percentages(ends, spec):
    """The two ends of a split by hash as fractions of 1."""
    found = []
    for end, default in zip(ends, (0, 1), strict=True):
        match = _NUMBER.fullmatch(end)
        if end and not (match and match["percent"] and Fraction(match["value"]) <= 100):
            raise UserError(
                f"The split {spec!r}: a hash cuts at percentages up to 100%, which {end!r} is not."
            )
        value = Fraction(match["value"]) / 100 if match else Fraction(default)
        found.append(1 - value if end.startswith("-") else value)
    return found


def _hashed(ends, size, hashes):
    """Positions of the examples whose texts' hashes, as fractions of 1, lie between the ends."""
    if hashes is None:
        return np.arange(size if ends[0] < ends[1] else 0)
    found = hashes()
    start, stop = (math.ceil(end * 2**62) for end in ends)
    return np.flatnonzero((found >= start) & (found < stop))
