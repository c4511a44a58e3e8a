"""The parameters of a published architecture beside ours: one table, read in both directions.

A table is rows of (their name, axes, our path), where {} is the number of a layer and axes.py says
what a line of axes means; our path is a tuple of paths where several of ours are one of theirs.
Paths are those of parameters; others begin with their collection, "batch_stats/".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bigmodel_jax.hub import axes

Row = tuple[str, str, str | tuple[str, ...]]


class Link(NamedTuple):
    """One of their arrays and what it is of ours.

    Attributes:
        theirs: its name.
        axes: see axes.py.
        ours: paths; several that lie side by side.
        row: the names on both sides as the table has them.
        layer: its number, or "".
    """

    theirs: str
    axes: str
    ours: tuple[str, ...]
    row: tuple[str, str]
    layer: str

    def shape(self, shapes: Mapping[str, Any]) -> tuple[int, ...]:
        """Theirs, where `shapes` has arrays or their shapes by our paths."""
        return axes.shape(self.axes, shapes[self.ours[0]].shape)


class Head(NamedTuple):
    """One of the classes under which an architecture is published.

    Attributes:
        fields: of our model, which select this head.
        rows: of the parameters that the class adds.
        unused: patterns of theirs for which our model has no place.
        whole: whether ours is all of it, so that it can be written.
    """

    fields: Mapping[str, Any]
    rows: Sequence[Row] = ()
    unused: Sequence[str] = ()
    whole: bool = True


def links(rows: Iterable[Row], known: Iterable[str]) -> list[Link]:
    """What becomes of each of our arrays, in the order of the rows and of the layers.

    Args:
        known: paths of our model, its layers unrolled.

    Raises:
        LookupError: a path is in no row or in several, or in part of a row: a table is wrong.
    """
    known, taken, found = set(known), set(), []
    for theirs, line, ours in rows:
        group = (ours,) if isinstance(ours, str) else ours
        for number in _layers(group[0], known):
            name, paths = theirs.replace("{}", number), [p.replace("{}", number) for p in group]
            one = Link(name, line, tuple(paths), (theirs, " + ".join(group)), number)
            if not known.issuperset(one.ours) or not taken.isdisjoint(one.ours):
                raise LookupError(f"{one.ours}, of {one.theirs}, are not all there, or come twice")
            taken.update(one.ours)
            found.append(one)
    if left := sorted(known - taken):
        raise LookupError(f"no row is of {', '.join(left)}")
    return found


def _layers(ours, known) -> list[str]:
    """The numbers of the layers in which the path is known; one of them, any, where it has none."""
    if "{}" not in ours:
        return [""] if ours in known else []
    pattern = re.compile(re.escape(ours).replace(r"\{\}", r"(\d+)"))
    return sorted((m[1] for path in known if (m := pattern.fullmatch(path))), key=int)


def dense(theirs: str, ours: str, line: str = "o i -> i o") -> tuple[Row, ...]:
    """A torch Linear and one of our Dense or Projection layers; its bias, where there is one."""
    out = line.split()[0] if not line.startswith("(") else line[: line.index(")") + 1]
    flat = out.strip("()")
    bias = f"{out} -> {flat}" if out != flat else ""
    return (f"{theirs}.weight", line, f"{ours}/kernel"), (f"{theirs}.bias", bias, f"{ours}/bias")


def norm(theirs: str, ours: str) -> tuple[Row, ...]:
    """A norm; its bias, where there is one."""
    return (f"{theirs}.weight", "", f"{ours}/scale"), (f"{theirs}.bias", "", f"{ours}/bias")


def batch_norm(theirs: str, ours: str) -> tuple[Row, ...]:
    """A torch BatchNorm and ours (nn/batch_norm.py), with its running statistics."""
    statistics = f"batch_stats/{ours}"
    return (
        *norm(theirs, ours),
        (f"{theirs}.running_mean", "", f"{statistics}/mean"),
        (f"{theirs}.running_var", "", f"{statistics}/var"),
    )


def attention(names: str, ours: str) -> tuple[Row, ...]:
    """The four projections of attention as torch Linears.

    Args:
        names: theirs of query, key, value and out, with spaces between.
    """
    *heads, out = names.split()
    rows: tuple[Row, ...] = dense(out, f"{ours}/out", "o (h d) -> h d o")
    for theirs, name in zip(heads, ("query", "key", "value"), strict=True):
        rows += dense(theirs, f"{ours}/{name}", "(h d) i -> i h d")
    return rows
