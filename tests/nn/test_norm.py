"""Norms against their formulas in NumPy, or torch."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.nn.norm import GroupNorm, LayerNorm, RMSNorm


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(3, 6, 8)).astype(np.float32)


def test_layer_norm_names_the_axes_of_its_parameters(x):
    params = LayerNorm().init(jax.random.key(0), x)["params"]
    assert params["scale"].names == params["bias"].names == ("embed",)
    got = LayerNorm().apply({"params": nn.unbox(params)}, x)
    centred = x - x.mean(-1, keepdims=True)
    want = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_layer_norm_may_have_no_bias(x):
    assert list(LayerNorm(use_bias=False).init(jax.random.key(0), x)["params"]) == ["scale"]


def test_rms_norm_divides_by_the_root_of_the_mean_square(x):
    scale = np.arange(1.0, 9.0, dtype=np.float32)
    got = RMSNorm(epsilon=0.1).apply({"params": {"scale": scale}}, x)
    want = x / np.sqrt((x**2).mean(-1, keepdims=True) + 0.1) * scale
    np.testing.assert_allclose(got, want, rtol=1e-5)
    params = RMSNorm(axis="head_dim").init(jax.random.key(0), x)["params"]
    assert params["scale"].names == ("head_dim",)


@pytest.mark.parametrize("norm", [LayerNorm, RMSNorm])
def test_sums_are_float32_whatever_comes_in(norm):
    x = jnp.full((1, 4096), 1.01, jnp.bfloat16).at[0, 0].set(-1)
    layer = norm(dtype=jnp.bfloat16)
    got = layer.apply(nn.unbox(layer.init(jax.random.key(0), x)), x)
    want = norm().apply(nn.unbox(norm().init(jax.random.key(0), x)), x.astype(jnp.float32))
    assert got.dtype == jnp.bfloat16
    np.testing.assert_array_equal(got, want.astype(jnp.bfloat16))


def test_group_norm_is_that_of_torch():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(2.0, 3.0, (3, 4, 5, 6)).astype(np.float32)
    params = {"scale": np.arange(1.0, 7.0, dtype=np.float32), "bias": np.ones(6, np.float32)}
    layer = GroupNorm(2, epsilon=0.1)
    peer = torch.nn.GroupNorm(2, 6, eps=0.1)
    peer.weight.data, peer.bias.data = map(torch.tensor, params.values())
    want = peer(torch.tensor(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).detach()
    np.testing.assert_allclose(layer.apply({"params": params}, x), want, rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="6 channels do not divide into 4 groups"):
        GroupNorm(4).init(jax.random.key(0), x)
