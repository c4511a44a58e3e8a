"""mlp, cnn and airbench against torch, and what they say of wrong fields."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.models import airbench, cnn, mlp
from bigmodel_jax.nn.image_convolution import convolve
from bigmodel_jax.nn.whitening import whitening_kernel

IMAGES = np.random.default_rng(0).normal(size=(4, 28, 28, 1)).astype(np.float32)
close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)


def variables_of(model, images):
    """Random ones, none a special case."""
    rng = np.random.default_rng(1)
    made = nn.unbox(jax.jit(model.init)(jax.random.key(0), images))
    return jax.tree.map(lambda x: x + 0.1 * np.abs(rng.normal(size=x.shape)), made)


def apply(model, variables, images=IMAGES, **options):
    """model.apply, compiled as a whole: its operations one by one take a second each to compile."""
    return jax.jit(functools.partial(model.apply, **options))(variables, images)


def layer(torch, params):
    """A Linear or a Conv2d with our kernel and bias, by the kernel's axes."""
    kernel, bias = (torch.tensor(np.asarray(params[k], np.float32)) for k in ("kernel", "bias"))
    if kernel.ndim == 2:
        return lambda x: torch.nn.functional.linear(x, kernel.T, bias)
    kernel = kernel.permute(3, 2, 0, 1)
    return lambda x, padding: torch.nn.functional.conv2d(x, kernel, bias, padding=padding)


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_the_articles_network_is_that_of_torch(activation):
    torch = pytest.importorskip("torch")
    model = mlp.Model(10, activation=activation, **mlp.VARIANTS["784-128-64-10"])
    variables = variables_of(model, IMAGES)
    params, x = variables["params"], torch.tensor(IMAGES).flatten(1)
    assert [params[k]["kernel"].shape for k in ("hidden_0", "hidden_1", "classifier")] == [
        (784, 128),
        (128, 64),
        (64, 10),
    ]
    for name in ("hidden_0", "hidden_1"):
        x = getattr(torch, activation)(layer(torch, params[name])(x))
    close(apply(model, variables, method="features"), x)
    close(apply(model, variables), layer(torch, params["classifier"])(x))
    flat = IMAGES.reshape(4, -1)
    close(apply(model, variables, flat), apply(model, variables))


def test_lenet_5_is_that_of_torch_and_has_its_61706_parameters():
    torch = pytest.importorskip("torch")
    model = cnn.Model(10, **cnn.VARIANTS["lenet-5"])
    variables = variables_of(model, IMAGES)
    params = variables["params"]
    assert sum(x.size for x in jax.tree.leaves(params)) == 61_706
    x, pool = torch.tensor(IMAGES).permute(0, 3, 1, 2), torch.nn.functional.avg_pool2d
    for i, padding in enumerate((2, 0)):
        x = pool(torch.tanh(layer(torch, params[f"block_{i}"]["conv_0"])(x, padding)), 2)
    x = x.permute(0, 2, 3, 1).flatten(1)  # our order of what is flattened
    for name in ("hidden_0", "hidden_1"):
        x = torch.tanh(layer(torch, params[name])(x))
    close(apply(model, variables), layer(torch, params["classifier"])(x))
    last = apply(model, variables, method="feature_map")
    close(apply(model, variables, last, method="from_feature_map"), apply(model, variables))


def test_alexnet_has_as_many_parameters_as_torchvisions():
    model = cnn.Model(1000, **cnn.VARIANTS["alexnet"])
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image)
    assert sum(x.size for x in jax.tree.leaves(shapes)) == 61_100_840


def test_airbench_is_that_of_torch_in_training():
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    model = airbench.Model(10, **airbench.VARIANTS["tiny"])
    variables = variables_of(model, images)
    functional, params = torch.nn.functional, variables["params"]
    gelu, zeros, ones = functional.gelu, torch.zeros(8), torch.ones(8)
    x = torch.tensor(images).permute(0, 3, 1, 2)
    x = gelu(layer(torch, params["whiten"])(x, 0))
    for block in ("block_0", "block_1", "block_2"):
        for i in range(2):
            made = {"bias": np.zeros(8), **params[block][f"conv_{i}"]}
            x = layer(torch, made)(x, 1)
            x = x if i else functional.max_pool2d(x, 2)
            bias = torch.tensor(np.asarray(params[block][f"norm_{i}"]["bias"], np.float32))
            x = gelu(functional.batch_norm(x, zeros, ones, None, bias, True, 0.4, 1e-12))
    x = functional.max_pool2d(x, 3).flatten(1)
    want = x @ torch.tensor(np.asarray(params["classifier"]["kernel"], np.float32)) / 9
    got, _ = apply(model, variables, images, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def test_a_kernel_begins_with_the_identity():
    kernel = airbench.identity(jax.random.key(0), (3, 3, 2, 5), jnp.float32)
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype(np.float32)
    y = convolve(x, kernel, 1, 1)
    np.testing.assert_allclose(y[..., :2], x, rtol=1e-6)
    assert np.abs(y[..., 2:]).min() > 0 and np.abs(kernel[..., 2:]).max() <= 18**-0.5


def test_a_whitening_kernel_makes_patches_uncorrelated_and_of_mean_square_1():
    images = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).cumsum(1).astype(np.float32)
    kernel = whitening_kernel(images, epsilon=1e-6)
    assert kernel.shape == (2, 2, 3, 24)
    y = jax.lax.conv_general_dilated(
        images, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    y = np.asarray(y).reshape(-1, 24)
    np.testing.assert_allclose(y[:, :12].T @ y[:, :12] / len(y), np.eye(12), atol=1e-3)
    np.testing.assert_allclose(y[:, 12:], -y[:, :12], rtol=1e-5, atol=1e-5)


def test_misspelt_fields_are_refused_with_the_nearest():
    wrong = {
        "model.activation is 'sigmoyd'. Did you mean 'sigmoid'": mlp.Model(3, activation="sigmoyd"),
        "has the key 'feature'. Did you mean 'features'": cnn.Model(3, stages=({"feature": 3},)),
        "model.head is 'flatt'. Did you mean 'flat'": cnn.Model(3, head="flatt"),
    }
    for words, model in wrong.items():
        with pytest.raises(UserError, match=words):
            model.init(jax.random.key(0), IMAGES)
