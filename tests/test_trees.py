"""Nested dicts by path."""

import pytest

from bigmodel_jax import trees
from bigmodel_jax.errors import UserError

TREE = {"encoder": {"kernel": 1, "bias": 2}, "head": {"kernel": 3}}


def test_flatten_and_unflatten_are_inverse():
    flat = {"encoder/bias": 2, "encoder/kernel": 1, "head/kernel": 3}
    assert trees.flatten(TREE) == flat and trees.unflatten(flat) == TREE


def test_a_pattern_must_match_the_whole_path():
    assert trees.matcher(["head/.*"])("head/kernel") and not trees.matcher(["head"])("head/kernel")


def test_what_is_excluded_wins():
    assert trees.select(TREE, trees.matcher([".*"], [".*/bias"])) == {
        "encoder": {"kernel": 1},
        "head": {"kernel": 3},
    }


def test_replacing_a_selected_part_gives_the_whole_back():
    part = trees.select(TREE, trees.matcher(["encoder/.*"]))
    changed = trees.map_paths(lambda path, x: 10 * x, part)
    assert trees.replace(TREE, changed) == {
        "encoder": {"kernel": 10, "bias": 20},
        "head": {"kernel": 3},
    }


def test_a_pattern_that_matches_nothing_is_named_with_the_nearest_path():
    with pytest.raises(
        UserError, match="freeze: 'hed/kernel' matches no.*Did you mean 'head/kernel'"
    ):
        trees.check_patterns(["hed/kernel"], TREE, "freeze")


def test_a_pattern_that_matches_nothing_is_told_the_nearest_or_the_few_there_are():
    tree = {"head": {"kernel": 1, "bias": 2}, "encoder": {"block_0": {"scale": 3}}, "w": 4}
    with pytest.raises(
        UserError, match=r"'hed/\.\*' matches no parameter. Did you mean 'head/\.\*'"
    ):
        trees.check_patterns(("hed/.*",), tree, "freeze")
    with pytest.raises(UserError, match=r"There are: encoder/\.\*, head/\.\*, w\."):
        trees.check_patterns(("zzz",), tree, "freeze")
