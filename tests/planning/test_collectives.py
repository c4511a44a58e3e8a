"""Collectives are read from compiled programs: which, along which axes, how often, how many bytes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from bigmodel_jax import sharding
from bigmodel_jax.planning import collectives
from bigmodel_jax.planning.collectives import Collective

KERNEL = 4 * 64 * 64  # bytes


def program(mesh, function, *arrays):
    """Its collectives; `arrays` are (shape, spec)."""
    inputs = [
        jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, P(*spec)))
        for shape, spec in arrays
    ]
    with jax.set_mesh(mesh):
        hlo = jax.jit(function).lower(*inputs).compile().as_text()
    return collectives.read(hlo or "", dict(mesh.shape))


def loss(w, x):
    return jnp.square(x @ w).sum()


def test_data_parallelism_reduces_each_gradient_once_over_all_devices():
    mesh = sharding.make_mesh({"data": 8})
    found = program(mesh, jax.grad(loss), ((64, 64), ()), ((32, 64), ("data",)))
    assert found == [Collective("all-reduce", ("data",), 1, 2 * 7 / 8 * KERNEL)]


def test_split_rows_of_a_kernel_are_gathered_along_their_own_axis_alone():
    mesh = sharding.make_mesh({"fsdp": 4, "tensor": 2})
    found = program(mesh, lambda w, x: x @ w, ((64, 64), ("fsdp",)), ((32, 64), ("fsdp",)))
    assert found == [Collective("all-gather", ("fsdp",), 1, 3 / 4 * KERNEL)]


def test_a_collective_in_a_loop_counts_each_time_around():
    mesh = sharding.make_mesh({"data": 2, "tensor": 4})

    def looped(w, x):
        def body(x, _):
            y = jax.lax.with_sharding_constraint(x @ w, NamedSharding(mesh, P("data", None)))
            return jnp.tanh(y), None

        return jax.lax.scan(body, x, length=5)[0]

    (found,) = program(mesh, looped, ((64, 64), ("tensor", None)), ((32, 64), ("data", None)))
    # A product over a split axis: its parts are added up.
    assert (found.op, found.axes, found.count) == ("all-reduce", ("tensor",), 5)
    assert found.bytes == 5 * 2 * 3 / 4 * 4 * 16 * 64


@pytest.mark.parametrize(
    "groups",
    [
        "replica_groups={{0,4},{1,5},{2,6},{3,7}}",
        "replica_groups=[4,2]<=[2,4]T(1,0)",
        "replica_groups=mesh['axis_0'=2,'axis_1'=4] {'axis_0'}",
    ],
)
def test_all_three_ways_of_writing_groups_name_the_same_axis(groups):
    hlo = (
        "ENTRY %main (p: f32[8]) -> f32[8] {\n  %r = f32[8]{0} all-reduce(%p), " + groups + "\n}\n"
    )
    (found,) = collectives.read(hlo, {"data": 2, "tensor": 4})
    assert found == Collective("all-reduce", ("data",), 1, 32.0)


def test_shifts_and_asynchronous_gathers_are_read_too():
    hlo = """ENTRY %main (p: f32[8]) -> f32[8] {
  %a = (f32[8]{0}, f32[64]{0}) all-gather-start(%p), replica_groups=[1,8]<=[8], dimensions={0}
  %b = f32[8]{0} collective-permute(%p), source_target_pairs={{0,1},{1,2},{2,3},{3,0},{4,5},{5,6},{6,7},{7,4}}
}
"""
    gather, shift = collectives.read(hlo, {"data": 2, "tensor": 4})
    assert gather == Collective("all-gather", ("data", "tensor"), 1, 7 / 8 * 256)
    assert shift == Collective("collective-permute", ("tensor",), 1, 32)


def test_groups_of_a_mesh_in_any_order_are_those_of_numpy():
    ids = collectives._groups("replica_groups=mesh['a'=2,'b'=2,'c'=2] {'c','a'}", 8)
    expected = np.arange(8).reshape(2, 2, 2).transpose(1, 2, 0).reshape(2, 4)
    np.testing.assert_array_equal(ids, expected)
    ids = collectives._groups("replica_groups=mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'b'}", 8)
    np.testing.assert_array_equal(ids, [[0, 4], [1, 5], [2, 6], [3, 7]])


def test_the_length_of_a_tpus_loop_is_read_from_its_condition():
    hlo = """%around (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %r = f32[8]{0} all-reduce(%x), replica_groups={}
}

%until (p: (s32[], f32[8])) -> pred[] {
  %other = s32[]{:T(128)} constant(3)
  %length = s32[]{:T(128)} constant(7)
  ROOT %lt = pred[]{:T(512)} compare(%counter, %length), direction=LT, metadata={op_name="lt"}
}

ENTRY %main (p: f32[8]) -> f32[8] {
  %w = (s32[], f32[8]{0}) while(%tuple), condition=%until, body=%around
}
"""
    (found,) = collectives.read(hlo, {"data": 8})
    assert found == Collective("all-reduce", ("data",), 7, 7 * 2 * 7 / 8 * 32)
