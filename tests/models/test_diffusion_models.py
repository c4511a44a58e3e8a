"""unet and dit: a block of each against torch's functions, what both begin as, what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding, trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.models import dit, unet
from bigmodel_jax.nn.conditioning import sinusoids_of_time
from bigmodel_jax.nn.image_convolution import from_depth, to_depth

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(2, 8, 8, 3)).astype(np.float32)
TIME, LABEL = np.array([0.1, 0.7], np.float32), np.array([0, 3], np.int32)
GIVEN = {"image_size": 8, "channels": 3, "num_classes": 3}
MODELS = {
    "unet": unet.Model(**GIVEN, width=8, widths=(1, 2), blocks=1, attention=(1,), patch=2),
    "dit": dit.Model(**GIVEN, patch=2, width=16, num_layers=2, num_heads=2),
}


def drawn(variables):
    """Parameters none of which is 0, float32."""
    rng = np.random.default_rng(1)
    params = sharding.unbox(variables)["params"]
    return trees.map_paths(
        lambda path, x: (0.3 * rng.normal(size=x.shape)).astype(np.float32), params
    )


def as_torch(params):
    """Tensors by path, kernels as torch has them."""
    import torch

    turned = {
        path: np.moveaxis(np.asarray(x), (-1, -2), (0, 1)) if x.ndim in (2, 4) else np.asarray(x)
        for path, x in trees.flatten(params).items()
    }
    return {path: torch.tensor(x) for path, x in turned.items()}


def test_a_block_of_the_unet_is_what_torchs_functions_make_of_it():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    block = unet.Block(16, True, jnp.float32, jnp.float32)
    x, told = RNG.normal(size=(2, 4, 4, 8)), RNG.normal(size=(2, 5))
    x, told = x.astype(np.float32), told.astype(np.float32)
    params = drawn(block.init(jax.random.key(0), x, told))
    p = as_torch(params)

    def norm(y, name):
        return F.group_norm(y, 8, p[f"{name}/scale"], p[f"{name}/bias"])

    def conv(y, name, padding):
        return F.conv2d(y, p[f"{name}/kernel"], p[f"{name}/bias"], padding=padding)

    z = torch.tensor(x).permute(0, 3, 1, 2)
    y = conv(F.silu(norm(z, "norm_0")), "conv_0", 1)
    found = F.linear(F.silu(torch.tensor(told)), p["condition/kernel"], p["condition/bias"])
    scale, shift = found[:, :, None, None].chunk(2, 1)
    y = conv(F.silu(norm(y, "norm_1") * (1 + scale) + shift), "conv_1", 1)
    z = conv(z, "shortcut", 0) + y
    flat = norm(z, "attention_norm").flatten(2).transpose(1, 2)
    own = params["attention"]
    q, k, v = (
        flat @ torch.tensor(own[n]["kernel"][:, 0]) + torch.tensor(own[n]["bias"][0])
        for n in ("query", "key", "value")
    )
    seen = F.scaled_dot_product_attention(q, k, v) @ torch.tensor(own["out"]["kernel"][0])
    z = z + (seen + torch.tensor(own["out"]["bias"])).transpose(1, 2).reshape(z.shape)
    got = block.apply({"params": params}, x, told)
    np.testing.assert_allclose(got, z.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-4)


def test_a_block_of_the_dit_is_what_torchs_functions_make_of_it():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    block = dit.Block(1, jnp.float32, jnp.float32)
    x, told = RNG.normal(size=(2, 5, 8)), RNG.normal(size=(2, 8))
    x, told = x.astype(np.float32), told.astype(np.float32)
    params = drawn(block.init(jax.random.key(0), x, told))
    p, own = as_torch(params), params["attention"]
    found = F.linear(torch.tensor(told), p["condition/kernel"], p["condition/bias"])
    # The authors have shift before scale.
    scale_a, shift_a, gate_a, scale_m, shift_m, gate_m = found[:, None].chunk(6, -1)
    z = torch.tensor(x)
    y = F.layer_norm(z, (8,), eps=1e-6) * (1 + scale_a) + shift_a
    q, k, v = (
        y @ torch.tensor(own[n]["kernel"][:, 0]) + torch.tensor(own[n]["bias"][0])
        for n in ("query", "key", "value")
    )
    seen = F.scaled_dot_product_attention(q, k, v) @ torch.tensor(own["out"]["kernel"][0])
    z = z + gate_a * (seen + torch.tensor(own["out"]["bias"]))
    y = F.layer_norm(z, (8,), eps=1e-6) * (1 + scale_m) + shift_m
    y = F.gelu(F.linear(y, p["mlp/up/kernel"], p["mlp/up/bias"]), approximate="tanh")
    z = z + gate_m * F.linear(y, p["mlp/down/kernel"], p["mlp/down/bias"])
    got = block.apply({"params": params}, x, told)
    np.testing.assert_allclose(got, z, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_a_network_begins_by_predicting_0_and_then_depends_on_time_and_class(name):
    model = MODELS[name]
    variables = jax.jit(model.init)(jax.random.key(0), IMAGE, TIME, LABEL)
    apply = jax.jit(model.apply)
    assert not np.asarray(apply(variables, IMAGE, TIME, LABEL)).any()
    given = {"params": drawn(variables)}
    one = apply(given, IMAGE, TIME, LABEL)
    assert one.shape == IMAGE.shape and one.dtype == jnp.float32
    for time, label in ((TIME[::-1], LABEL), (TIME, np.array([1, 2], np.int32))):
        changed = np.abs(np.asarray(apply(given, IMAGE, time, label) - one)).max((1, 2, 3))
        assert (changed > 1e-3).all()
    assert np.isnan(apply(given, IMAGE, TIME, LABEL + 1)[1]).any()  # there is no such class


def test_places_become_channels_and_back():
    deep = to_depth(IMAGE)
    assert deep.shape == (2, 4, 4, 12)
    np.testing.assert_array_equal(deep[1, 2, 3, 3:6], IMAGE[1, 4, 7])
    np.testing.assert_array_equal(from_depth(deep), IMAGE)


def test_times_are_told_by_the_sinusoids_of_a_thousand_steps():
    found = np.asarray(sinusoids_of_time(jnp.array([0.25])))[0]
    assert found.shape == (256,)
    np.testing.assert_allclose(found[:1], np.cos(250.0), atol=1e-4)
    wave = 10_000.0 ** (-5 / 128)
    np.testing.assert_allclose(found[[5, 133]], [np.cos(250 * wave), np.sin(250 * wave)], atol=1e-4)


@pytest.mark.parametrize("kind", [unet, dit])
def test_images_that_do_not_divide_are_refused(kind):
    model = kind.Model(**{**GIVEN, "image_size": 9}, patch=2)
    with pytest.raises(UserError, match="image_size=9"):
        model.init(jax.random.key(0), np.zeros((1, 9, 9, 3), np.float32), TIME[:1], LABEL[:1])
