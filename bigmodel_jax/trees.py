"""Nested dicts addressed by path: "encoder/block_0/attention/query/kernel".

Everything that speaks of some of the parameters (freezing, learning rates, decay, checkpoint
surgery) does so by patterns of these paths. A pattern is a regular expression that must match a
whole path; one that matches nothing is an error, because it is almost always a typing mistake.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import jax

from bigmodel_jax.errors import UserError, nearest

Matcher = Callable[[str], bool]


def flatten(tree, is_leaf=None) -> dict[str, Any]:
    """Leaves by path, in the sorted order of jax.tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_leaf)
    return {"/".join(str(k.key) for k in keys): leaf for keys, leaf in leaves}


def unflatten(flat: dict[str, Any]) -> dict:
    """The nested dict whose leaves `flat` names by path."""
    tree: dict = {}
    for path, leaf in flat.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = leaf
    return tree


def matcher(only: Iterable[str] = (".*",), but: Iterable[str] = ()) -> Matcher:
    """Matches paths that fully match a pattern of `only` and none of `but`."""
    included, excluded = [re.compile(p) for p in only], [re.compile(p) for p in but]
    return lambda path: (
        any(p.fullmatch(path) for p in included) and not any(p.fullmatch(path) for p in excluded)
    )


def check_patterns(patterns: Iterable[str], tree, what: str, idle: bool = False) -> None:
    """Raises a UserError for a pattern that matches no path of `tree`, unless it may be `idle`.

    Args:
        what: names its place.
    """
    paths = list(flatten(tree))
    if isinstance(patterns, str):
        raise UserError(f"{what} is the string {patterns!r}, but it is a tuple of patterns.")
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"{what}: {pattern!r} is no regular expression: {error}.") from error
        if not idle and not any(re.fullmatch(pattern, path) for path in paths):
            tops = {f"{path.split('/')[0]}/.*" if "/" in path else path for path in paths}
            near = nearest(pattern, [*paths, *tops])
            near = near if near.startswith(" Did") else nearest(pattern, tops)
            raise UserError(f"{what}: {pattern!r} matches no parameter.{near}")


def select(tree, match: Matcher) -> dict:
    """The part of `tree` whose paths match; branches left empty are gone."""
    return unflatten({path: x for path, x in flatten(tree).items() if match(path)})


def replace(tree, part) -> dict:
    """`tree` with the leaves of `part` in place of its own."""
    return unflatten(flatten(tree) | flatten(part))


def map_paths(fn: Callable[[str, Any], Any], tree) -> dict:
    """`fn(path, leaf)` for every leaf, in the same structure."""
    return unflatten({path: fn(path, x) for path, x in flatten(tree).items()})
