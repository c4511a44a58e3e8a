"""Activations and their slopes against formulas, and the gated forms."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.nn.mlp import MLP, gelu, gelu_tanh, silu


def test_gelu_and_its_slope_are_those_of_the_formula():
    x = np.linspace(-6, 6, 41).astype(np.float32)
    phi = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
    density = np.exp(-(x.astype(np.float64) ** 2) / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(gelu(jnp.asarray(x)), x * phi, rtol=1e-4, atol=1e-6)
    slope = jax.vmap(jax.grad(gelu))(jnp.asarray(x))
    np.testing.assert_allclose(slope, phi + x * density, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "ours, theirs", [(gelu_tanh, lambda x: jax.nn.gelu(x, approximate=True)), (silu, jax.nn.silu)]
)
def test_other_activations_and_their_slopes_are_those_of_jax(ours, theirs):
    x = jnp.linspace(-6, 6, 41)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    slopes = [jax.vmap(jax.grad(f))(x) for f in (ours, theirs)]
    np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["gelu", "gelu_tanh", "swiglu", "geglu"])
def test_it_is_its_formula_and_names_its_parameters(kind):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    layer = MLP(6, kind=kind, use_bias=False)
    boxed = layer.init(jax.random.key(0), x)["params"]
    p = nn.unbox(boxed)
    up = x @ p["up"]["kernel"]
    if kind in ("swiglu", "geglu"):
        gate = x @ p["gate"]["kernel"]
        hidden = (jax.nn.silu(gate) if kind == "swiglu" else jax.nn.gelu(gate)) * up
        assert boxed["gate"]["kernel"].names == ("embed", "mlp")
    else:
        hidden = jax.nn.gelu(up, approximate=kind == "gelu_tanh")
        assert sorted(p) == ["down", "up"]
    assert boxed["down"]["kernel"].names == ("mlp", "embed")
    want = hidden @ p["down"]["kernel"]
    np.testing.assert_allclose(layer.apply({"params": p}, x), want, rtol=1e-4, atol=1e-5)
