"""Convolution and its maximum against loops, automatic differentiation and torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.nn.convolution import convolved_maximum, windows

BATCH, LENGTH, DIM, FEATURES = 8, 7, 5, 6
LENGTHS = np.array([7, 3, 1, 5, 2, 7, 6, 4])
MASK = np.arange(LENGTH) < LENGTHS[:, None]
SIZES = [1, 2, 3, 4, 5, 9]  # 9 is longer than any text


@pytest.fixture
def x():
    drawn = np.random.default_rng(0).normal(size=(BATCH, LENGTH, DIM)).astype(np.float32)
    return np.where(MASK[..., None], drawn, 0)


def make_kernel(size):
    shape = (size * DIM, FEATURES)
    return np.random.default_rng(size).normal(size=shape).astype(np.float32)


def plain(x, kernel, mask, size):
    """The same without a backward pass of its own."""
    y = windows(x, size) @ kernel
    return jnp.where(mask[..., None], y, jnp.finfo(jnp.float32).min).max(1)


def value_and_gradients(form, x, kernel, size, mask=MASK):
    weights = np.random.default_rng(1).normal(size=(len(x), FEATURES)).astype(np.float32)

    def loss(x, kernel):
        highest = form(x, kernel, mask, size)
        return (jnp.where(highest > -1e30, highest, 0) * weights).sum(), highest

    (_, highest), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(x, kernel)
    return highest, *gradients


@pytest.mark.parametrize("size", SIZES)
def test_a_window_is_around_its_position_and_zero_beyond_the_ends(size, x):
    got = windows(x, size)
    assert got.shape == (BATCH, LENGTH, size * DIM)
    want = np.zeros((BATCH, LENGTH, size, DIM), np.float32)
    for position in range(LENGTH):
        for j in range(size):
            neighbour = position + j - (size - 1) // 2
            if 0 <= neighbour < LENGTH:
                want[:, position, j] = x[:, neighbour]
    np.testing.assert_array_equal(got, want.reshape(got.shape))


@pytest.mark.parametrize("size", SIZES)
def test_value_and_gradients_equal_those_of_automatic_differentiation(size, x):
    kernel = make_kernel(size)
    got = value_and_gradients(convolved_maximum, x, kernel, size)
    assert got[0].dtype == jnp.float32
    for a, b in zip(got, value_and_gradients(plain, x, kernel, size), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_value_and_gradients_equal_those_of_torch_text_by_text(size, x):
    torch = pytest.importorskip("torch")
    kernel = make_kernel(size)
    highest, d_x, d_kernel = value_and_gradients(convolved_maximum, x, kernel, size)
    weights = np.random.default_rng(1).normal(size=highest.shape).astype(np.float32)

    # torch: [out, in, size]; a text has no padding here but the zeros beyond its ends.
    filters = torch.tensor(kernel.reshape(size, DIM, FEATURES).transpose(2, 1, 0).copy())
    filters.requires_grad_()
    for t, length in enumerate(LENGTHS):
        text = torch.tensor(x[t, :length].T.copy(), requires_grad=True)
        padded = torch.nn.functional.pad(text, ((size - 1) // 2, size // 2))
        y = torch.nn.functional.conv1d(padded, filters).max(1).values
        np.testing.assert_allclose(highest[t], y.detach().numpy(), rtol=1e-5, atol=1e-5)
        (y * torch.tensor(weights[t])).sum().backward()
        np.testing.assert_allclose(d_x[t, :length], text.grad.numpy().T, rtol=1e-4, atol=1e-5)
    want = filters.grad.numpy().transpose(2, 1, 0).reshape(kernel.shape)
    np.testing.assert_allclose(d_kernel, want, rtol=1e-4, atol=1e-5)


def test_of_equal_maxima_the_first_gets_the_gradient():
    x, kernel = np.ones((1, 5, 1), np.float32), np.ones((1, 1), np.float32)
    mask = np.array([[False, True, True, True, False]])
    gradient = jax.grad(lambda x: convolved_maximum(x, kernel, mask, 1).sum())(x)
    assert gradient[0, :, 0].tolist() == [0, 1, 0, 0, 0]


def test_the_maximum_is_over_real_positions_wherever_they_are():
    mask = np.random.default_rng(2).random(MASK.shape) < 0.5
    mask[:, 3] = True
    drawn, kernel = np.random.default_rng(3).normal(size=(BATCH, LENGTH, DIM)), make_kernel(3)
    x = np.where(mask[..., None], drawn, 0).astype(np.float32)
    got = value_and_gradients(convolved_maximum, x, kernel, 3, mask)
    for a, b in zip(got, value_and_gradients(plain, x, kernel, 3, mask), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_a_row_without_tokens_gives_the_lowest_number_and_no_gradient(x):
    mask = MASK & (np.arange(BATCH) != 2)[:, None]
    kernel = make_kernel(3)

    def total(x, kernel):
        highest = convolved_maximum(x, kernel, mask, 3)
        return highest.sum(), highest

    (d_x, d_kernel), highest = jax.grad(total, (0, 1), has_aux=True)(x, kernel)
    assert (highest[2] == np.finfo(np.float32).min).all() and (highest[:2] > -1e3).all()
    assert (d_x[2] == 0).all() and (d_x[1] != 0).any()
    others = np.arange(BATCH) != 2
    want = jax.grad(lambda k: convolved_maximum(x[others], k, MASK[others], 3).sum())(kernel)
    np.testing.assert_allclose(d_kernel, want, rtol=1e-5, atol=1e-5)


def test_a_number_that_is_none_is_seen(x):
    x[1, 0, 0] = np.nan
    highest, _, d_kernel = value_and_gradients(convolved_maximum, x, make_kernel(3), 3)
    assert np.isnan(highest[1]).all() and not np.isnan(np.delete(highest, 1, 0)).any()
    assert np.isnan(d_kernel).any()


@pytest.mark.parametrize("size", [2, 5])
def test_bfloat16_is_close_to_float32_and_its_gradients_have_its_dtype(size, x):
    exact = [x.astype(jnp.bfloat16), make_kernel(size).astype(jnp.bfloat16)]
    got = value_and_gradients(convolved_maximum, *exact, size)
    want = value_and_gradients(plain, *(a.astype(np.float32) for a in exact), size)
    assert [a.dtype for a in got] == [jnp.float32, jnp.bfloat16, jnp.bfloat16]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a.astype(np.float32), b, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16])
def test_a_batch_split_over_devices_gives_the_same_and_moves_no_activations(dtype, x):
    x, kernel = x.astype(dtype), make_kernel(4).astype(dtype)
    step = jax.jit(
        lambda x, mask, kernel: value_and_gradients(convolved_maximum, x, kernel, 4, mask)
    )
    want = step(x, MASK, kernel)
    mesh = sharding.make_mesh({"data": -1})
    with sharding.use(mesh):
        batch = sharding.put((x, MASK), mesh)
        program = step.lower(*batch, kernel).compile()
        got = program(*batch, kernel)
    assert "all-gather(" not in program.as_text()
    for a, b in zip(got, want, strict=True):
        a, b = (np.asarray(v, np.float32) for v in (a, b))
        np.testing.assert_allclose(a, b, rtol=1e-4 if dtype == np.float32 else 1e-2, atol=1e-5)
