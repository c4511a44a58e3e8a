"""Activations and their slopes against formulas."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.nn.activations import ACTIVATIONS, gelu, gelu_tanh, silu


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


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_name_is_that_of_torch(name):
    torch = pytest.importorskip("torch")
    x = np.linspace(-4, 4, 17).astype(np.float32)
    kind, options = {"gelu_tanh": ("gelu", {"approximate": "tanh"})}.get(name, (name, {}))
    theirs = getattr(torch, kind, None) or getattr(torch.nn.functional, kind)
    want = theirs(torch.tensor(x), **options)
    np.testing.assert_allclose(ACTIVATIONS[name](x), want, rtol=1e-4, atol=1e-6)
