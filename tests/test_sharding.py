"""Meshes and rules: what fits is laid out as said, what does not is named."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError


def test_one_axis_may_take_what_is_left():
    mesh = sharding.make_mesh({"fsdp": -1, "tensor": 2})
    assert dict(mesh.shape) == dict(data=1, fsdp=4, tensor=2, sequence=1, expert=1, stage=1)


@pytest.mark.parametrize(
    "sizes, complaint",
    [
        ({"data": 3}, "does not fit 8 devices"),
        ({"data": 3, "fsdp": -1}, "does not fit 8 devices"),
        ({"data": -1, "fsdp": -1}, "does not fit"),
        ({"dta": -1}, "Did you mean 'data'"),
    ],
)
def test_a_mesh_that_does_not_fit_is_named(sizes, complaint):
    with pytest.raises(UserError, match=complaint):
        sharding.make_mesh(sizes)


def boxed(names, shape=(16, 8)):
    init = sharding.axes(nn.initializers.ones, *names)
    return lambda: {"params": {"w": init(jax.random.key(0), shape, jnp.float32)}}


def layout(names, sizes, rules=None, shape=(16, 8)):
    mesh = sharding.make_mesh(sizes)
    with sharding.use(mesh, rules):
        return sharding.abstract(boxed(names, shape), mesh)["params"]["w"].sharding.spec


def test_logical_axes_go_where_the_rules_send_them():
    assert layout(("vocab", "embed"), {"fsdp": 4, "tensor": 2}) == P(("tensor",), ("fsdp",))
    assert layout(("vocab", "embed"), {"data": 8}) == P(None, None)
    assert layout(("vocab", "embed"), {"fsdp": 8}, {"embed": None, "vocab": "fsdp"}) == P(
        ("fsdp",), None
    )


def test_a_mesh_axis_splits_only_one_dimension_of_a_parameter():
    assert layout(("embed", "mlp"), {"fsdp": 8}, {"mlp": "fsdp"}) == P(("fsdp",), None)


@pytest.mark.parametrize(
    "names, sizes, rules, complaint",
    [
        (
            ("vocb", None),
            {"data": 8},
            None,
            "Parameter params/w has the axis 'vocb'. Did you mean 'vocab'",
        ),
        (("vocab", None), {"tensor": 8}, None, "dimension 12 does not divide over 8 devices"),
        (("vocab", None), {"data": 8}, {"vocb": "fsdp"}, "logical axis 'vocb'"),
        (("vocab", None), {"data": 2, "stage": 4}, None, "4 stages, but the model has no scanned"),
        (("vocab", None), {"data": 8}, {"vocab": "fdsp"}, "mesh axis 'fdsp'. Did you mean 'fsdp'"),
        (("vocab", None), {"data": 8}, {"vocab": 2}, "'vocab' to 2: a mesh axis, several or None"),
    ],
)
def test_what_cannot_be_laid_out_is_named(names, sizes, rules, complaint):
    with pytest.raises(UserError, match=complaint):
        layout(names, sizes, rules, shape=(12, 8))


def test_moments_live_where_their_parameter_does_and_counts_everywhere():
    mesh = sharding.make_mesh({"fsdp": 8})
    with sharding.use(mesh):
        params = sharding.abstract(boxed(("embed", None)), mesh)["params"]
        state = {
            "mu": {"w": jax.ShapeDtypeStruct((16, 8), jnp.float32)},
            "count": jax.ShapeDtypeStruct((), jnp.int32),
        }
        placed = sharding.follow(state, params, mesh)
    assert placed["mu"]["w"].sharding == params["w"].sharding
    assert placed["count"].sharding.spec == P()


def test_a_batch_is_split_over_data_and_fsdp():
    mesh = sharding.make_mesh({"data": 2, "fsdp": 4})
    import numpy as np

    whole = sharding.put({"x": np.arange(16)}, mesh)["x"]
    assert [s.data.tolist() for s in whole.addressable_shards][:2] == [[0, 1], [2, 3]]
    stacked = sharding.put({"x": np.zeros((3, 16))}, mesh, stacked=True)["x"]
    assert stacked.addressable_shards[0].data.shape == (3, 2)
