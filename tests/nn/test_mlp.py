"""The MLP against its formula, plain and gated."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from bigmodel_jax.nn.mlp import MLP


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
