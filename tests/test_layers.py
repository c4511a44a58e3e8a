"""Layers stacked and unstacked: the same numbers under other paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.layers import stack_layers, unstack_layers


def layered(count=11):
    """More than ten layers, so that their order is not that of their names."""
    layers = {f"block_{i}": {"mlp": {"kernel": np.full((2, 3), i)}} for i in range(count)}
    return {"embed": np.ones(2), "decoder": {**layers, "norm": {"scale": np.ones(3)}}}


def test_layers_are_stacked_in_their_order_and_come_back():
    tree = layered()
    stacked = stack_layers(tree)
    kernel = stacked["decoder"]["blocks"]["mlp"]["kernel"]
    assert isinstance(kernel, np.ndarray) and kernel.shape == (11, 2, 3)
    np.testing.assert_array_equal(kernel[:, 0, 0], np.arange(11))
    assert sorted(stacked["decoder"]) == ["blocks", "norm"]
    jax.tree.map(np.testing.assert_array_equal, unstack_layers(stacked), tree)


def test_arrays_of_jax_stay_arrays_of_jax_and_may_be_traced():
    tree = jax.tree.map(jnp.asarray, layered(2))
    back = jax.jit(lambda t: unstack_layers(stack_layers(t)))(tree)
    jax.tree.map(np.testing.assert_array_equal, back, tree)


def test_several_stacks_keep_their_own_counts():
    tree = {"a": layered(2)["decoder"], "b": layered(3)["decoder"]}
    stacked = stack_layers(tree)
    assert [len(stacked[k]["blocks"]["mlp"]["kernel"]) for k in "ab"] == [2, 3]


def test_a_tree_without_layers_stays_as_it_is():
    tree = {"embed": np.ones(2)}
    assert stack_layers(tree).keys() == unstack_layers(tree).keys() == {"embed"}


def test_layers_that_do_not_stack_are_told():
    tree = layered(3)
    del tree["decoder"]["block_1"]
    with pytest.raises(UserError, match="'decoder/blocks/mlp/kernel'.*layer 1 lacks it"):
        stack_layers(tree)
    tree = layered(3)
    tree["decoder"]["block_1"]["mlp"]["kernel"] = np.ones((4, 3))
    with pytest.raises(UserError, match="shapes are"):
        stack_layers(tree)
