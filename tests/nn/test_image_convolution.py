"""Convolution and pooling of images against torch."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.nn.image_convolution import Convolution, max_pool, mean_pool

X = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype(np.float32)


def to_torch(x):
    torch = pytest.importorskip("torch")
    return torch.tensor(np.moveaxis(np.asarray(x), -1, 1)).requires_grad_()


def from_torch(x):
    return np.moveaxis(x.detach().numpy(), 1, -1)


@pytest.mark.parametrize(
    "size, stride, padding", [(1, 2, 0), (3, 1, None), (3, 2, 1), (7, 2, 3), (2, 1, 0)]
)
def test_value_and_gradients_are_those_of_torch(size, stride, padding):
    torch = pytest.importorskip("torch")
    layer = Convolution(4, size, stride, padding, use_bias=True)
    boxed = layer.init(jax.random.key(0), X)["params"]
    assert boxed["kernel"].names == (None, None, "embed", "mlp")
    params = nn.unbox(boxed) | {"bias": np.arange(4, dtype=np.float32)}

    def loss(params, x):
        y = layer.apply({"params": params}, x)
        return (y * y).sum(), y

    (d_params, d_x), y = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, X)
    x, bias = to_torch(X), torch.arange(4.0, requires_grad=True)
    kernel = torch.tensor(np.transpose(params["kernel"], (3, 2, 0, 1))).requires_grad_()
    pad = size // 2 if padding is None else padding
    want = torch.nn.functional.conv2d(x, kernel, bias, stride, pad)
    want.square().sum().backward()
    d_kernel = np.transpose(kernel.grad.numpy(), (2, 3, 1, 0))
    np.testing.assert_allclose(y, from_torch(want), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(d_x, from_torch(x.grad), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(d_params["kernel"], d_kernel, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(d_params["bias"], bias.grad, rtol=1e-4, atol=1e-3)


def test_bfloat16_stays_close_and_its_kernel_may_be_float32():
    exact = Convolution(4)
    params = nn.unbox(exact.init(jax.random.key(0), X))
    got = Convolution(4, dtype=jnp.bfloat16).apply(params, X)
    assert got.dtype == jnp.bfloat16 and params["params"]["kernel"].dtype == jnp.float32
    np.testing.assert_allclose(
        got.astype(jnp.float32), exact.apply(params, X), rtol=0.05, atol=0.05
    )


@pytest.mark.parametrize("size, stride, padding", [(2, 2, 0), (3, 2, 1), (3, 3, 0)])
def test_the_maximum_of_windows_and_its_gradient_are_those_of_torch(size, stride, padding):
    torch = pytest.importorskip("torch")
    got, back = jax.vjp(lambda x: max_pool(x, size, stride, padding), X - 2)
    x = to_torch(X - 2)  # negative: a zero of the padding would be seen
    want = torch.nn.functional.max_pool2d(x, size, stride, padding)
    want.sum().backward()
    np.testing.assert_array_equal(got, from_torch(want))
    np.testing.assert_array_equal(back(np.ones_like(got))[0], from_torch(x.grad))


def test_the_mean_of_windows_is_that_of_torch_and_one_that_does_not_fit_is_refused():
    torch = pytest.importorskip("torch")
    want = from_torch(torch.nn.functional.avg_pool2d(to_torch(X), 3, 2))
    np.testing.assert_allclose(mean_pool(X, 3, 2), want, rtol=1e-5, atol=1e-6)
    with pytest.raises(UserError, match="window of 9 does not fit into 9 x 8 pixels"):
        mean_pool(X, 9, 1)
