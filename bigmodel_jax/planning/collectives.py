"""The collectives of a compiled program: what is sent along which axes of the mesh, and how much."""

import math
import re
from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np

OPS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
SIZES = {
    "pred": 1,
    "s8": 1,
    "u8": 1,
    "bf16": 2,
    "f16": 2,
    "s16": 2,
    "u16": 2,
    "f64": 8,
    "s64": 8,
    "u64": 8,
}

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_OP = re.compile(rf"= (.*?) ({'|'.join(OPS)})(-start)?\(")
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")
_LOOP = re.compile(r" while\(.*condition=%?([\w.\-]+), body=%?([\w.\-]+)")
_BELOW = re.compile(r"ROOT .* compare\(%?[\w.\-]+, %?([\w.\-]+)\), direction=LT")


class Collective(NamedTuple):
    """Of one kind along the same axes.

    Attributes:
        axes: of the mesh; none are found for devices that do not lie along axes.
        count: a step, loops unrolled; of a loop whose length the program does not tell, once.
        bytes: that one device sends a step, by a ring's count: (n - 1) / n of the whole array for a
            gather or a scatter over n devices, twice that for a reduction.
    """

    op: str
    axes: tuple[str, ...]
    count: int
    bytes: float


def read(hlo: str, mesh_shape: dict[str, int]) -> list[Collective]:
    """The collectives of a compiled program's text (`Compiled.as_text()`)."""
    bodies, calls, entry = _computations(hlo)
    times = _times(calls, entry)
    counts: Counter = Counter()
    sent: dict[tuple, float] = defaultdict(float)
    for name, lines in bodies.items():
        if not times[name]:
            continue
        for line in lines:
            found = _OP.search(line)
            if found is None:
                continue
            shape, op = found[1], found[2]
            axes, group = _axes(line, mesh_shape)
            if group == 1:
                continue
            moved = _sent(op, shape, group, bool(found[3]))
            if name.startswith(
                "all-reduce-scatter"
            ):  # a TPU's: each device keeps a part of the sum
                op, moved = "reduce-scatter", moved / 2
            key = op, axes
            counts[key] += times[name]
            sent[key] += times[name] * moved
    return [Collective(op, axes, n, sent[op, axes]) for (op, axes), n in sorted(counts.items())]


def _computations(hlo):
    """(lines by computation, what each calls and how often, the entry's name)."""
    bodies: dict[str, list[str]] = {}
    entry = name = ""
    for line in hlo.splitlines():
        if (start := _COMPUTATION.match(line)) and not line.startswith(" "):
            name = start[2]
            bodies[name] = []
            entry = name if start[1] else entry
        elif name:
            bodies[name].append(line)
    calls: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, lines in bodies.items():
        for line in lines:
            for called in re.findall(r"(?:body|calls|to_apply)=%?([\w.\-]+)", line):
                calls[name].append((called, _trips(line, bodies)))
            for several in re.findall(
                r"(?:branch_computations|called_computations)=\{([^}]*)\}", line
            ):
                calls[name] += [(x.strip().lstrip("%"), 1) for x in several.split(",")]
    return bodies, calls, entry


def _trips(line: str, bodies: dict[str, list[str]]) -> int:
    """How often a line runs what it calls."""
    if known := re.search(r'"known_trip_count":\{"n":"(\d+)"\}', line):
        return int(known[1])
    if not (loop := _LOOP.search(line)):
        return 1
    # A TPU's program does not say it: its condition compares a counter from zero with a constant.
    condition = "\n".join(bodies.get(loop[1], ()))
    if not (below := _BELOW.search(condition)):
        return 1
    bound = re.search(rf"%?{re.escape(below[1])} = s32\[\]\S* constant\((\d+)\)", condition)
    return int(bound[1]) if bound else 1


def _times(calls, entry) -> Counter:
    """How often each computation runs a step."""
    times: Counter = Counter()

    def visit(name, count):
        times[name] += count
        for called, trips in calls[name]:
            visit(called, count * trips)

    visit(entry, 1)
    return times


def _axes(line: str, mesh_shape: dict[str, int]) -> tuple[tuple[str, ...], int]:
    """(the mesh axes that a collective runs along, devices of a group)."""
    names, sizes = tuple(mesh_shape), tuple(mesh_shape.values())
    if pairs := re.search(r"source_target_pairs=\{(\{[\d,{}]*\})\}", line):
        found = [tuple(map(int, p.split(","))) for p in re.findall(r"\{(\d+,\d+)\}", pairs[1])]
        ids = np.array([pair for pair in found if pair[0] != pair[1]][:1] or [[0]])
    else:
        ids = _groups(line, math.prod(sizes))
    group = ids[0]
    if len(group) == 1:
        return (), 1
    places = np.array(np.unravel_index(group, sizes))
    along = [i for i in range(len(sizes)) if len(set(places[i])) > 1]
    count = sizes[along[0]] if "source_target_pairs" in line else len(group)
    return tuple(names[i] for i in along), count


def _groups(line: str, devices: int) -> np.ndarray:
    """[groups, devices of each], from any of the three ways that a program writes them."""
    if listed := re.search(r"replica_groups=\{(\{[\d,{} ]*\})\}", line):
        rows = re.findall(r"\{([\d, ]+)\}", listed[1])
        return np.array([[int(x) for x in row.split(",")] for row in rows])
    if iota := re.search(r"replica_groups=\[([\d,]+)\]<=(\S+)", line):
        return _ids(iota[2]).reshape(_numbers(iota[1]))
    if mesh := re.search(
        r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\((.*?)\))?\s*\{([^}]*)\}", line
    ):
        axes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
        wanted = re.findall(r"'(\w+)'", mesh[3])
        names, sizes = list(axes), [int(x) for x in axes.values()]
        order = [i for i, n in enumerate(names) if n not in wanted] + [
            names.index(n) for n in wanted
        ]
        ids = _ids(mesh[2] or f"[{math.prod(sizes)}]").reshape(sizes).transpose(order)
        return ids.reshape(-1, math.prod(int(axes[n]) for n in wanted))
    return np.arange(devices)[None]  # written as {}: all of them


def _ids(text: str) -> np.ndarray:
    """Devices in the order that is written "[2,4]T(1,0)", as NumPy's transpose would have them."""
    shape, *order = [_numbers(x) for x in re.findall(r"[\[(]([\d,]+)[\])]", text)]
    return np.arange(math.prod(shape)).reshape(shape).transpose(*order)


def _numbers(text: str) -> list[int]:
    return [int(x) for x in text.split(",")]


def _sent(op: str, shape: str, group: int, start: bool) -> float:
    arrays = [
        SIZES.get(kind, 4) * math.prod(map(int, dims.split(",")) if dims else ())
        for kind, dims in _SHAPE.findall(shape)
        if kind not in ("token",)
    ]
    # An asynchronous one gives (operands, results, ...): of a gather the results are the larger.
    if start and op == "all-gather":
        whole = max(arrays, default=0)
    elif start and op == "collective-permute":
        whole = arrays[0] if arrays else 0
    else:
        whole = sum(arrays)
    if op == "reduce-scatter":
        return whole * (group - 1)
    if op == "collective-permute":
        return whole
    return whole * (group - 1) / group * (2 if op == "all-reduce" else 1)
