"""Which array of a source becomes which array of a model: every one of both is accounted for.

Nothing here has arrays, only shapes. Arrays are called by path; those of other collections than
"params" by their collection, too: "head/kernel", "batch_stats/norm/mean".
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from bigmodel_jax import trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.moves import Misfit, Move, complaint
from bigmodel_jax.rates import BLOCK, SCANNED


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
            Tables of positions are interpolated (of an image's as a grid), all others (vocabularies) keep their rows and get
            fresh ones.
        own: collections that belong to this run's task and not to its model; always fresh.

    Raises:
        UserError: something is unaccounted for, or does not fit; lists all of it.
    """
    check(saved, wanted, rules)
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
            (misfits if isinstance(move, Misfit) else moves).append(move)
    left = {places[name]: name for name in places if name not in used}
    if missing or left or misfits:
        raise UserError(complaint(left, missing, misfits, saved, wanted))
    return sorted(moves, key=lambda move: (move.target is None, move.target or "", move.sources))


def check(saved: Mapping, wanted: Mapping, rules: Mapping[str, Sequence]) -> None:
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
        # What a misspelt `drop` leaves is reported by itself; so one config can drop any run's head.
        trees.check_patterns(given, dict(paths), f"config.init_from.{key}", idle=key == "drop")


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


def _fit(target, names, sources, saved, wanted, resize) -> Move | Misfit:
    """How a target is made from its sources, or why it cannot be."""
    x, old = wanted[target], saved[sources[0]]
    notes = ["renamed"] if sources != tuple(names) else []
    if old.dtype != x.dtype:
        if not all(jnp.issubdtype(dtype, jnp.floating) for dtype in (old.dtype, x.dtype)):
            return Misfit(target, f"{x.dtype}", f"{old.dtype}")
        notes.append(f"cast from {old.dtype}")
    layer, how, shape = 0, "copy", tuple(old.shape)
    if names != [target] and (block := BLOCK.fullmatch(target)):
        how, layer, shape = "unstack", int(block[2]), shape[1:]
        layers = _layers(block[1], block[3])
        count = sum(1 for _ in itertools.takewhile(wanted.__contains__, layers))
        if count != old.shape[0]:
            return Misfit(target, f"of {count} layers", f"{old.shape[0]} layers")
    elif names != [target]:
        how, shape = "stack", (len(names), *shape)
    if shape == tuple(x.shape):
        return Move(how, sources, target, shape, tuple(notes), layer)
    axes = [i for i, sizes in enumerate(zip(shape, x.shape, strict=False)) if len({*sizes}) > 1]
    positions = not {"positions", "grid_positions"}.isdisjoint(target.split("/"))
    one = len(shape) == len(x.shape) and len(axes) == 1
    grown = one and (positions or x.shape[axes[0]] > shape[axes[0]])
    if not (resize and grown and how == "copy"):
        table = not resize and grown and ("embed" in target or positions)
        return Misfit(target, f"{list(x.shape)}", f"{list(shape)}", table)
    notes.append(f"resized from {list(shape)}")
    kind = "interpolate" if positions else "grow"
    return Move(kind, sources, target, x.shape, tuple(notes))
