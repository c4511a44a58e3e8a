"""How the axes of a published array become those of ours, and back, in a line that says it.

    "o i -> i o"              a matrix turned round
    "(h d) i -> i h d"        a matrix that makes all heads, turned, its rows taken apart by heads
    "i (3 h d) -> i h d"      the same of three things side by side, of which ours is one
    "1 1 d -> d"              axes that are always 1

What a name measures is known from our shape. From the file to us all is a view: nothing is copied.
"""

import functools
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Axes(NamedTuple):
    """A line, read: the groups of axes of theirs, and ours by name."""

    theirs: tuple[tuple[str, ...], ...]
    ours: tuple[str, ...]


@functools.lru_cache
def parse(line: str) -> Axes:
    """The axes of a line as above; "" is for arrays that are the same on both sides."""
    theirs, ours = line.split("->")
    groups = re.findall(r"\(([^)]*)\)|(\S+)", theirs)
    return Axes(tuple(tuple((a or b).split()) for a, b in groups), tuple(ours.split()))


def shape(line: str, ours: Sequence[int]) -> tuple[int, ...]:
    """The shape of theirs, from that of ours."""
    if not line:
        return tuple(ours)
    sizes = _sizes(line, ours)
    return tuple(math.prod(map(sizes, group)) for group in _groups(line))


def to_ours(line: str, theirs: np.ndarray, ours: Sequence[int], part: int = 0) -> np.ndarray:
    """A view of theirs (of the right shape) as ours, or as the one of that number of several."""
    if not line:
        return theirs
    sizes = _sizes(line, ours)
    names = [name for group in _groups(line) for name in group]
    apart = theirs.reshape([sizes(name) for name in names])
    picks = [_pick(name, part) for name in names]
    left = [name for name in names if not name.isdigit()]
    return apart[tuple(picks)].transpose([left.index(name) for name in parse(line).ours])


def to_theirs(line: str, ours: Sequence[np.ndarray]) -> np.ndarray:
    """The inverse of `to_ours`, from all that lie side by side in theirs."""
    if not line:
        return ours[0]
    names = [name for group in _groups(line) for name in group]
    order = [parse(line).ours.index(name) for name in names if not name.isdigit()]
    turned = [x.transpose(order) for x in ours]
    several = [i for i, name in enumerate(names) if name.isdigit() and name != "1"]
    joined = np.stack(turned, several[0]) if several else turned[0]
    return joined.reshape(shape(line, ours[0].shape))


def _groups(line):
    return parse(line).theirs if line else ()


def _sizes(line, ours):
    known = dict(zip(parse(line).ours, ours, strict=True))
    return lambda name: int(name) if name.isdigit() else known[name]


def _pick(name, part):
    return (0 if name == "1" else part) if name.isdigit() else slice(None)
