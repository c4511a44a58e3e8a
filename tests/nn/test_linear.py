"""Products, dense and embedding layers against NumPy and autodiff's own gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.nn.linear import Dense, Embed, matmul


@pytest.fixture
def operands():
    rng = np.random.default_rng(0)
    shapes = (4, 6, 5), (5, 3), (4, 6, 3)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def products(multiply, operands):
    """The product and both of its gradients."""
    x, kernel, weight = operands
    y, pull = jax.vjp(multiply, x, kernel)
    return y, *pull(weight)


def test_product_and_gradients_are_those_of_autodiff(operands):
    reference = products(lambda x, kernel: x @ kernel, operands)
    for got, want in zip(products(matmul, operands), reference, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_bfloat16_operands_are_summed_in_float32(operands):
    x, kernel, _ = operands
    x, kernel = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    got = matmul(x, kernel)
    assert got.dtype == jnp.float32
    exact = np.asarray(x, np.float32) @ np.asarray(kernel, np.float32)
    np.testing.assert_allclose(got, exact, rtol=1e-6, atol=1e-6)


def test_bfloat16_gradients_have_the_operands_dtype_and_are_close(operands):
    x, kernel, weight = operands
    half = [x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), weight]
    for got, want in zip(products(matmul, half)[1:], products(matmul, operands)[1:], strict=True):
        assert got.dtype == jnp.bfloat16
        np.testing.assert_allclose(got.astype(jnp.float32), want, rtol=0.02, atol=0.1)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("sizes", [(2, 3, 7, 5), (1, 1, 5, 7), (4, 64, 96, 32), (4, 64, 32, 96)])
def test_gradients_of_kernels_that_widen_and_that_narrow(sizes, dtype):
    batch, length, size_in, size_out = sizes
    rng = np.random.default_rng(0)
    shapes = (batch, length, size_in), (size_in, size_out), (batch, length, size_out)
    x, kernel, weight = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    run = jax.jit(lambda x, kernel: products(matmul, (x, kernel, weight)))
    want = products(lambda x, kernel: x @ kernel, (x, kernel, weight))
    for got, exact in zip(run(x.astype(dtype), kernel.astype(dtype)), want, strict=True):
        atol = (1e-5 if dtype == jnp.float32 else 0.02) * jnp.abs(exact).max()
        np.testing.assert_allclose(got.astype(jnp.float32), exact, atol=atol)


def test_product_over_a_sharded_batch_moves_no_activations(operands):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(jax.device_count(), 6, 5)).astype(np.float32)
    mesh = sharding.make_mesh({"data": -1})
    gradient = jax.jit(jax.grad(lambda kernel, x: (matmul(x, kernel) ** 2).sum()))
    with sharding.use(mesh):
        program = gradient.lower(operands[1], sharding.put(x, mesh)).compile()
    np.testing.assert_allclose(
        program(operands[1], sharding.put(x, mesh)), gradient(operands[1], x), rtol=1e-4
    )
    assert "all-gather(" not in program.as_text()


def test_dense_is_an_affine_map_with_named_axes(operands):
    layer = Dense(3, axes=("embed", "classes"))
    boxed = layer.init(jax.random.key(0), operands[0])
    assert boxed["params"]["kernel"].names == ("embed", "classes")
    assert boxed["params"]["bias"].names == ("classes",)
    params = {"kernel": operands[1], "bias": jnp.array([1.0, 2.0, 3.0])}
    got = layer.apply({"params": params}, operands[0])
    want = np.asarray(operands[0]) @ np.asarray(operands[1]) + params["bias"]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_dense_computes_in_dtype_over_float32_parameters(operands):
    layer = Dense(3, use_bias=False, dtype=jnp.bfloat16)
    variables = nn.unbox(layer.init(jax.random.key(0), operands[0]))
    assert list(variables["params"]) == ["kernel"]
    assert variables["params"]["kernel"].dtype == jnp.float32
    assert layer.apply(variables, operands[0]).dtype == jnp.bfloat16


def test_embed_gathers_rows_and_sums_their_gradients():
    table = jnp.arange(12.0).reshape(4, 3)
    ids = jnp.array([[1, 3], [1, 0]])

    def embed(table):
        return Embed(4, 3).apply({"params": {"embedding": table}}, ids)

    np.testing.assert_array_equal(embed(table), table[ids])
    gradient = jax.grad(lambda table: embed(table).sum())(table)
    np.testing.assert_array_equal(gradient[:, 0], [1, 2, 0, 1])


def test_an_id_outside_the_vocabulary_is_seen_as_nan():
    got = Embed(4, 3).apply({"params": {"embedding": jnp.ones((4, 3))}}, jnp.array([3, 4]))
    np.testing.assert_array_equal(np.isnan(got).all(-1), [False, True])
