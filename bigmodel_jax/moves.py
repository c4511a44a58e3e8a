"""What becomes of one array between a source and a model, in words: tables, lists, complaints."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from bigmodel_jax.errors import nearest

LAYER = re.compile(r"(^|/)block_(\d+(?:\.\.\d+)?)(?=/)")
SHOWN = 12  # lines of each list of an error
How = Literal["copy", "stack", "unstack", "interpolate", "grow", "fresh", "drop"]


class Move(NamedTuple):
    """What becomes of an array.

    Attributes:
        how: what is to be computed; "interpolate" and "grow" are what `resize` asks for.
        sources: paths; several where layers are stacked, none where it starts fresh.
        target: path; None where it is dropped.
        shape: of the target, or of what is dropped.
        notes: what there is to say besides: "renamed", "cast from float32", ...
        layer: of a scanned source, the one that this target is.
    """

    how: How
    sources: tuple[str, ...]
    target: str | None
    shape: tuple[int, ...]
    notes: tuple[str, ...] = ()
    layer: int = 0


class Misfit(NamedTuple):
    """A target that no rule makes of its source: both in words, whether `resize` would."""

    target: str
    ours: str
    theirs: str
    resizable: bool = False


def show(moves: Iterable[Move]) -> list[str]:
    """A line for each group of moves of one kind: "copied   encoder/block_0..11/...   96 arrays"."""
    groups: dict[tuple, list[Move]] = {}
    for move in moves:
        what = ", ".join(_words(move))
        groups.setdefault((what, *map(_folder, _ends(move))), []).append(move)
    lines = []
    for (what, *_), members in groups.items():
        names = [_span(paths) for paths in zip(*map(_ends, members), strict=True)]
        arrow = " -> ".join(dict.fromkeys(name for name in names if name))
        size = f"{list(members[0].shape)}" if len(members) == 1 else f"{len(members)} arrays"
        lines.append((what, arrow, size))
    width = max((len(what) for what, *_ in lines), default=0)
    return [f"  {what:<{width}}  {arrow}  {size}" for what, arrow, size in lines]


def as_json(moves: Iterable[Move]) -> list[dict[str, Any]]:
    """The whole table: a row for each move."""
    return [
        {
            "source": list(m.sources) if len(m.sources) > 1 else next(iter(m.sources), None),
            "target": m.target,
            "shape": list(m.shape),
            "done": ", ".join(_words(m)),
        }
        for m in moves
    ]


def complaint(
    left: Mapping[str, str],
    missing: Sequence[str],
    misfits: Sequence[Misfit],
    saved: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> str:
    """All that a mapping lacks, with the nearest names and the ways out.

    Args:
        left: sources that nothing is made of, and what config.init_from.rename calls them.
        missing: targets that have no source.
        saved, wanted: shapes of all sources and of all targets, by path.
    """
    lines = ["config.init_from does not account for every array."]
    if left:
        lines.append(f"Of the source, with no place in this model ({len(left)}):")
        described = {
            path: (name, f"{list(saved[path].shape)}{_renamed(path, name)}")
            for path, name in left.items()
        }
        lines += _listed(described, missing)
    if missing:
        lines.append(f"Of this model, with nothing in the source ({len(missing)}):")
        shapes = {path: (path, f"{list(wanted[path].shape)}") for path in missing}
        lines += _listed(shapes, left.values())
    if misfits:
        lines.append(f"Of another shape or kind ({len(misfits)}):")
        ours = {m.target: f"is {m.ours}, of the source {m.theirs}" for m in misfits}
        lines += _listed({path: (path, text) for path, text in ours.items()}, ())
    if any(path.startswith("lora/") for path in left):
        lines.append(
            "The source is a LoRA run: make plain parameters of it first, with python -m "
            "bigmodel_jax.merge --workdir=RUN --output=DIR."
        )
    tables = [m.target for m in misfits if m.resizable]
    anew = [*missing, *(m.target for m in misfits if not m.resizable)]
    ways = ["rename=((pattern, replacement), ...)"] if left and missing else []
    ways += [f"drop={_patterns(left, saved)}"] if left else []
    ways += [f"resize={_patterns(tables, tables)}"] if tables else []
    ways += [f"fresh={_patterns(anew, wanted)}"] if anew else []
    return "\n".join([*lines, f"The ways out, in config.init_from: {', '.join(ways)}."])


def _renamed(path, name):
    return f", renamed {name}" if name != path else ""


def _listed(described, others):
    """A line a path, of (its name, its description), with the nearest of the others by its name.

    Layers that are alike are one line.
    """
    groups: dict[tuple, list[str]] = {}
    for path, (_, text) in described.items():
        groups.setdefault((_starred(path), text), []).append(path)
    lines = []
    for (_, text), paths in groups.items():
        near = nearest(described[paths[0]][0], others)
        near = near if near.startswith(" Did you mean") else ""
        lines.append(f"  {_span(paths)} {text}{near}")
    return lines[:SHOWN] + ([f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])


def _patterns(paths, every):
    """Few patterns that match `paths` and no others of `every`, for an error to propose."""
    found = {}
    for path in paths:
        for i, sign in enumerate(path):
            folder = path[: i + 1]
            if sign == "/" and all(p in paths for p in every if p.startswith(folder)):
                found[f"{folder}.*"] = None
                break
        else:
            found[path] = None
    return "(" + " ".join(f"{pattern!r}," for pattern in found) + ")"


def _words(move: Move) -> tuple[str, ...]:
    past = {"copy": "copied", "stack": "stacked", "unstack": "unstacked", "drop": "dropped"}
    resized = move.how in ("interpolate", "grow")  # which their note says
    return move.notes if resized else (past.get(move.how, "fresh"), *move.notes)


def _ends(move: Move) -> tuple[str, str]:
    """(source or "", target or ""); of stacked layers the source is named as one."""
    return _span(move.sources), move.target or ""


def _starred(path):
    return LAYER.sub(r"\1block_*", path)


def _folder(path):
    """What is shown as one: all of a stack of layers, or of a folder."""
    path = _starred(path)
    stack = re.match(r"(.*/)?block(_\*|s)(?=/)", path)
    return stack[0] if stack else path.rpartition("/")[0]


def _span(paths: Sequence[str]) -> str:
    """One name for several paths: layers as block_0..11, different ends as "..."."""
    starred = list(dict.fromkeys(map(_starred, paths)))
    name = starred[0] if len(starred) == 1 else f"{_folder(starred[0])}/..." if starred else ""
    found = itertools.chain.from_iterable(map(LAYER.finditer, paths))
    numbers = [int(n) for match in found for n in match[2].split("..")]
    if not numbers:
        return name
    low, high = min(numbers), max(numbers)
    return name.replace("block_*", f"block_{low}..{high}" if high > low else f"block_{low}")
