"""Which array of a source becomes which array of a model: every one of both is accounted for.

Nothing here has arrays, only shapes. Arrays are called by path; those of other collections than
"params" by their collection, too: "head/kernel", "batch_stats/norm/mean".
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp

from bigmodel_jax import trees
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.rates import BLOCK, SCANNED

RULES = ("rename", "drop", "fresh", "resize")
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


def account(
    saved: Mapping[str, Any],
    wanted: Mapping[str, Any],
    rules: Mapping[str, Sequence],
    own: Iterable[str] = (),
) -> list[Move]:
    """What becomes of each array of the source (`saved`) and where each of the model's is from.

    A layer of a scanned stack, X/blocks/..., fits the unrolled X/block_i/..., and the other way
    round. Sources whose target starts fresh are dropped without being named, and `lora/` starts
    fresh where the source has none.

    Args:
        saved, wanted: shape and dtype by path.
        rules: of config.init_from. rename: (pattern, replacement) pairs, of which the first that
            matches a whole source path counts; drop: patterns of source paths; fresh: patterns of
            the model's; resize: patterns of the model's that may have another length on one axis.
            Tables of positions are interpolated, all others (vocabularies) keep their rows and get
            fresh ones.
        own: collections that belong to this run's task and not to its model; always fresh.

    Raises:
        UserError: something is unaccounted for, or does not fit; lists all of it.
    """
    _check(saved, wanted, rules)
    drop = trees.matcher(rules["drop"])
    fresh = trees.matcher((*rules["fresh"], *(f"{name}(/.*)?" for name in own)))
    resize = trees.matcher(rules["resize"])
    moves, places = [], {}
    for path, x in saved.items():
        if drop(path):
            moves.append(Move("drop", (path,), None, x.shape))
            continue
        name = _renamed(path, rules["rename"])
        if name in places:
            raise UserError(
                f"config.init_from.rename sends both {places[name]} and {path} to {name}."
            )
        places[name] = path
    used, missing, misfits = set(), [], []
    for target, x in wanted.items():
        names = _found(target, places)
        if fresh(target) or (not names and target.startswith("lora/")):
            moves.append(Move("fresh", (), target, x.shape))
            if target in places:
                used.add(target)
                moves.append(Move("drop", (places[target],), None, saved[places[target]].shape))
        elif not names:
            missing.append(target)
        else:
            used.update(names)
            sources = tuple(places[name] for name in names)
            move = _fit(target, names, sources, saved, wanted, resize(target))
            (misfits if isinstance(move, str) else moves).append(move)
    left = {places[name]: name for name in places if name not in used}
    if missing or left or misfits:
        raise UserError(_complaint(left, missing, misfits, saved, wanted))
    return sorted(moves, key=lambda move: (move.target is None, move.target or "", move.sources))


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


def _check(saved, wanted, rules):
    """Raises a UserError for rules that are none, or that match nothing."""
    pairs = rules["rename"]
    if isinstance(pairs, str) or any(isinstance(p, str) or len(p) != 2 for p in pairs):
        raise UserError(
            f"config.init_from.rename is {pairs!r}, but it is pairs (pattern, replacement)."
        )
    patterns = [pattern for pattern, _ in pairs]
    for key, given, paths in [
        ("rename", patterns, saved),
        ("drop", rules["drop"], saved),
        ("fresh", rules["fresh"], wanted),
        ("resize", rules["resize"], wanted),
    ]:
        trees.check_patterns(given, dict(paths), f"config.init_from.{key}")


def _renamed(path, pairs):
    for pattern, replacement in pairs:
        if match := re.fullmatch(pattern, path):
            try:
                return match.expand(replacement)
            except (re.error, IndexError) as error:
                raise UserError(
                    f"config.init_from.rename: {replacement!r} does not fit {pattern!r}: {error}."
                ) from error
    return path


def _found(target, places) -> list[str]:
    """The names of what a target is made from: itself, or layers of the other form."""
    if target in places:
        return [target]
    if found := BLOCK.fullmatch(target):
        stack = f"{found[1]}blocks/{found[3]}"
        return [stack] if stack in places else []
    if found := SCANNED.fullmatch(target):
        return list(itertools.takewhile(places.__contains__, _layers(found[1], found[2])))
    return []


def _layers(stack, rest):
    """Paths of one parameter of every layer, without end."""
    return (f"{stack}block_{i}/{rest}" for i in itertools.count())


def _fit(target, names, sources, saved, wanted, resize) -> Move | str:
    """How a target is made from its sources, or why it cannot be."""
    x, old = wanted[target], saved[sources[0]]
    notes = ["renamed"] if sources != tuple(names) else []
    if old.dtype != x.dtype:
        if not all(jnp.issubdtype(dtype, jnp.floating) for dtype in (old.dtype, x.dtype)):
            return f"{target} is {x.dtype}, but of the source {old.dtype}"
        notes.append(f"cast from {old.dtype}")
    layer, how, shape = 0, "copy", tuple(old.shape)
    if names != [target] and (block := BLOCK.fullmatch(target)):
        how, layer, shape = "unstack", int(block[2]), shape[1:]
        count = sum(
            1 for _ in itertools.takewhile(wanted.__contains__, _layers(block[1], block[3]))
        )
        if count != old.shape[0]:
            return f"{target}: this model has {count} layers, but the source {old.shape[0]}"
    elif names != [target]:
        how, shape = "stack", (len(names), *shape)
    if shape == tuple(x.shape):
        return Move(how, sources, target, shape, tuple(notes), layer)
    wrong = f"{target} is {list(x.shape)}, but of the source {list(shape)}"
    axes = [i for i, sizes in enumerate(zip(shape, x.shape, strict=False)) if len({*sizes}) > 1]
    one = len(shape) == len(x.shape) and len(axes) == 1 and how == "copy"
    if not resize or not one:
        rest = f"; resize=({target!r},) if it is a table of positions or ids" if one else ""
        return f"{wrong} (fresh=({target!r},) starts it anew{rest})"
    notes.append(f"resized from {list(shape)}")
    if "positions" in target.split("/"):
        return Move("interpolate", sources, target, x.shape, tuple(notes))
    if x.shape[axes[0]] < shape[axes[0]]:
        return f"{wrong}: a vocabulary only grows"
    return Move("grow", sources, target, x.shape, tuple(notes))


def _complaint(left, missing, misfits, saved, wanted):
    """All that is wrong, with the nearest names and the way out."""
    names = dict.fromkeys([*left, *left.values()])
    lines = ["config.init_from does not account for every array."]
    if left:
        lines.append(f"Of the source, with no place in this model ({len(left)}):")
        lines += _listed({path: saved[path].shape for path in left}, missing)
    if missing:
        lines.append(f"Of this model, with nothing in the source ({len(missing)}):")
        lines += _listed({path: wanted[path].shape for path in missing}, names)
    if misfits:
        lines.append(f"Of another shape or kind ({len(misfits)}):")
        more = [f"  and {len(misfits) - SHOWN} more"] if len(misfits) > SHOWN else []
        lines += [f"  {line}" for line in misfits[:SHOWN]] + more
    if any(path.startswith("lora/") for path in left):
        lines.append(
            "The source is a LoRA run: make plain parameters of it first, with python -m "
            "bigmodel_jax.merge --workdir=RUN --output=DIR."
        )
    ways = ["rename=((pattern, replacement), ...)"] if left and missing else []
    ways += [f"drop={_patterns(left)}"] if left else []
    ways += [f"fresh={_patterns(missing)}"] if missing else []
    if ways:
        lines.append(f"Say what becomes of them in config.init_from: {', '.join(ways)}.")
    return "\n".join(lines)


def _listed(shapes, others):
    """A line a path with its shape and the nearest of the other list; layers are one line."""
    groups: dict[tuple, list[str]] = {}
    for path, shape in shapes.items():
        groups.setdefault((_starred(path), tuple(shape)), []).append(path)
    lines = []
    for (_, shape), paths in groups.items():
        near = nearest(paths[0], others)
        near = near if near.startswith(" Did you mean") else ""
        lines.append(f"  {_span(paths)} {list(shape)}{near}")
    return lines[:SHOWN] + ([f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])


def _patterns(paths):
    """Patterns for the error to propose: the top of each path."""
    tops = dict.fromkeys(f"{p.split('/')[0]}/.*" if "/" in p else p for p in paths)
    return "(" + "".join(f"{top!r}, " for top in tops).rstrip() + ")"


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
