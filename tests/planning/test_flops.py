"""Work is counted as one counts it by hand."""

import jax
import jax.numpy as jnp
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.nn.pipeline import pipeline
from bigmodel_jax.planning.flops import Work, count, part_of, total


def counted(function, *shapes):
    arrays = [jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes]
    return total(count(jax.make_jaxpr(function)(*arrays)))


def test_a_product_is_two_operations_for_each_of_its_terms_and_moves_what_it_reads_and_writes():
    found = counted(lambda a, b: a @ b, (8, 16), (16, 4))
    assert found == Work(2 * 8 * 16 * 4, 4 * (8 * 16 + 16 * 4 + 8 * 4))


def test_a_gradient_costs_two_products_more():
    def loss(w, x):
        return jnp.square(x @ w).sum()

    forward, step = (
        counted(loss, (16, 4), (8, 16)),
        counted(jax.grad(loss, (0, 1)), (16, 4), (8, 16)),
    )
    assert step.flops == 3 * forward.flops


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 4])
def test_a_convolution_and_its_gradients_cost_alike(stride, groups):
    def convolve(x, w):
        return jax.lax.conv_general_dilated(
            x, w, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
        )  # fmt: skip

    shapes = (2, 8, 8, 4), (3, 3, 4 // groups, 12)
    forward = counted(convolve, *shapes)
    assert forward.flops == 2 * (2 * (8 // stride) ** 2 * 12) * 9 * 4 // groups
    both = counted(jax.grad(lambda x, w: convolve(x, w).sum(), (0, 1)), *shapes)
    # With the forward pass; a strided one goes over a border of its own, too.
    assert both.flops == pytest.approx(3 * forward.flops, rel=0 if stride == 1 else 0.4)


def test_a_loop_counts_each_time_around_and_of_branches_the_longest():
    def looped(x, w):
        return jax.lax.scan(lambda x, _: (x @ w, None), x, length=5)[0]

    assert counted(looped, (8, 8), (8, 8)).flops == 5 * 2 * 8**3

    def branched(x):
        return jax.lax.cond(x.sum() > 0, lambda x: x @ x @ x, lambda x: x, x)

    assert counted(branched, (8, 8)).flops == 2 * 2 * 8**3


def test_what_remat_computes_again_counts():
    def loss(w, x):
        layer = jax.checkpoint(lambda x: jnp.tanh(x @ w) @ w)
        return layer(x).sum()

    plain = counted(jax.grad(lambda w, x: (jnp.tanh(x @ w) @ w).sum()), (8, 8), (8, 8))
    assert counted(jax.grad(loss), (8, 8), (8, 8)).flops > plain.flops


def test_parts_are_modules_without_layers_methods_and_transformations():
    path = (
        "jvp(Model.hidden)",
        "decoder",
        "decoder._scan",
        "while",
        "blocks.body",
        "mlp",
        "up",
        "a,b->c",
    )
    assert part_of(path) == "decoder/mlp"
    assert (
        part_of(("transpose(jvp(Model))", "encoder", "block_11", "attention", "query"))
        == "encoder/attention"
    )
    assert part_of(("jvp()", "Model.logits", "embed.attend", "...i,io->...o")) == "embed"
    assert part_of(("", "...i,io->...o")) == "other"


def test_stages_without_a_micro_batch_count_as_working():
    def run(layers, x):
        def stage(layers, x, view, number):
            return jax.lax.scan(lambda x, w: (x @ w, None), x, layers)[0]

        return pipeline(stage, layers, x, (), count=8)

    shapes = (4, 16, 16), (32, 16)
    whole = counted(run, *shapes)
    assert whole.flops == 4 * 2 * 32 * 16 * 16
    with sharding.use(sharding.make_mesh({"data": 2, "stage": 4})):
        assert counted(run, *shapes).flops == whole.flops * (8 + 4 - 1) / 8
