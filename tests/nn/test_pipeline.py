"""Stages against a loop over layers, against the scan they stand in for, and what their program sends."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.nn.mlp import MLP
from bigmodel_jax.nn.norm import LayerNorm
from bigmodel_jax.nn.pipeline import count_of, pipeline
from bigmodel_jax.nn.self_attention import SelfAttention
from bigmodel_jax.nn.transformer import Block, Stack
from bigmodel_jax.planning import collectives

STAGED = {"data": 2, "stage": 4}
ROWS, LENGTH, DIM, LAYERS = 16, 6, 8, 4
X = np.random.default_rng(0).normal(size=(ROWS, LENGTH, DIM)).astype(np.float32)
# Documents end elsewhere in every row: a row that met another's would be seen.
SEGMENTS = (np.arange(LENGTH) >= np.arange(ROWS)[:, None] % LENGTH).astype(np.int32)


@pytest.mark.parametrize("count", [1, 4, 8])
@pytest.mark.parametrize("mesh", [{"data": 1}, {"data": 2, "stage": 4}])
def test_rows_pass_all_layers_in_order_with_what_is_theirs(mesh, count):
    rng = np.random.default_rng(0)
    layers, x = rng.normal(size=(8, 5, 5)), rng.normal(size=(16, 5))
    own, shared = rng.normal(size=(16, 1)), rng.normal(size=(1, 5))
    want = x
    for layer in layers:
        want = np.tanh(want @ layer + own + shared)

    def stage(layers, x, view, number):
        own, shared = view
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w + own + shared), None), x, layers)[0]

    devices = jax.devices()[: np.prod(list(mesh.values()))]
    with sharding.use(sharding.make_mesh(mesh, devices)):
        got = jax.jit(functools.partial(pipeline, stage, count=count))(
            layers.astype(np.float32), x.astype(np.float32), (own, shared)
        )
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def build(dropout=0.0, **fields):
    block = functools.partial(
        Block,
        functools.partial(SelfAttention, 2, causal=True),
        functools.partial(MLP, 12),
        LayerNorm,
        dropout=dropout,
    )
    return Stack(LAYERS, block, LayerNorm, **{"scan": True, **fields})


def step(stack, mesh):
    """((the loss, its gradients by parameters and x), the compiled program) of training on a mesh."""
    devices = jax.devices()[: np.prod(list(mesh.values()))]
    with sharding.use(mesh := sharding.make_mesh(mesh, devices)):
        boxed = functools.partial(stack.init, jax.random.key(0), X)
        layout = jax.tree.map(lambda p: p.sharding, sharding.abstract(boxed, mesh))
        variables = jax.jit(lambda: sharding.unbox(boxed()), out_shardings=layout)()

        def loss(variables, x):
            rngs = {"dropout": jax.random.key(1)}
            y, _ = stack.apply(variables, x, segments=SEGMENTS, train=True, rngs=rngs)
            return (y * jnp.sin(y)).sum()

        rows = sharding.put(X, mesh)
        gradient = jax.value_and_grad(loss, (0, 1))
        compiled = jax.jit(gradient, out_shardings=(None, (layout, rows.sharding)))
        compiled = compiled.lower(variables, rows).compile()
        return jax.device_get(compiled(variables, rows)), compiled


def assert_close(got, want):
    """The losses, and all gradients together: that of a key's bias is but rounding."""
    assert got[0] == pytest.approx(want[0], rel=2e-6)
    got, want = (np.concatenate([x.ravel() for x in jax.tree.leaves(y[1])]) for y in (got, want))
    assert np.linalg.norm(got - want) < 2e-6 * np.linalg.norm(want)


@pytest.fixture(scope="module")
def staged():
    return step(build(microbatches=4, remat="full"), STAGED)


def test_stages_give_the_loss_and_gradients_of_the_scan_they_stand_in_for(staged):
    assert_close(staged[0], step(build(), {"data": 1})[0])


def test_stages_send_rows_on_and_no_layer_leaves_its_stage(staged):
    sent = collectives.read(staged[1].as_text(), {**dict.fromkeys(sharding.AXES, 1), **STAGED})
    along = {(c.op, c.count) for c in sent if "stage" in c.axes}
    moves = 2 * (LAYERS + 3) + LAYERS + 3  # a tick: x and segments forward, the gradient of x back
    # Twice something of all rows: what comes out, to all stages, and the gradient of what came in.
    assert along == {("all-reduce", 2), ("collective-permute", moves)}
    assert not [c for c in sent if c.op == "all-gather"]


@pytest.mark.slow  # the products with other axes
@pytest.mark.parametrize(
    "mesh",
    [{"fsdp": 2, "stage": 4}, {"tensor": 2, "stage": 4}, {"data": 2, "sequence": 2, "stage": 2}],
)
def test_stages_go_together_with_every_other_axis(mesh):
    got, program = step(build(microbatches=4, windows=(2, None)), mesh)
    assert_close(got, step(build(windows=(2, None)), {"data": 1})[0])
    sent = collectives.read(program.as_text(), {**dict.fromkeys(sharding.AXES, 1), **mesh})
    assert all("stage" not in c.axes for c in sent if c.op == "all-gather")


@pytest.mark.slow  # a law looks at dropout, too
def test_what_is_dropped_hangs_on_layer_and_micro_batch_but_not_on_the_mesh():
    stack = build(dropout=0.4, microbatches=4, drop_path=0.3)
    assert_close(step(stack, STAGED)[0], step(stack, {"data": 1})[0])


def test_micro_batches_do_not_drop_the_same():
    stack = build(dropout=0.4, microbatches=4)
    alike = np.broadcast_to(X[:1], X.shape)
    variables = sharding.unbox(stack.init(jax.random.key(0), alike))
    noisy, _ = stack.apply(variables, alike, train=True, rngs={"dropout": jax.random.key(1)})
    assert len(np.unique(np.asarray(noisy)[:4, 0, 0])) == 4  # rows 0 to 3 are the first of each
    quiet, _ = stack.apply(variables, alike)
    np.testing.assert_array_equal(quiet, build().apply(variables, alike)[0])


@pytest.mark.parametrize(
    "fields, mesh, complaint",
    [
        ({}, STAGED, "model.microbatches is 1 on a mesh of 4 stages"),
        ({"microbatches": 5}, STAGED, "16 rows, on 2 devices, does not divide into .*=5"),
        ({"microbatches": 8}, {"stage": 8}, "its dimension 4 does not divide over 8 devices"),
        ({"scan": False, "microbatches": 4}, {"data": 1}, "set model.scan=True"),
        ({"scan": False}, STAGED, "has no scanned layers to split between them"),
    ],
)
def test_what_does_not_go_into_stages_is_told(fields, mesh, complaint):
    with pytest.raises(UserError, match=complaint):
        step(build(**fields), mesh)


def test_evaluation_takes_any_number_of_rows():
    with sharding.use(sharding.make_mesh(STAGED)):
        counts = [count_of(8, rows, train=False) for rows in (16, 12, 6, 7)]
    assert counts == [8, 2, 1, 1]
