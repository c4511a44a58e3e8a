"""Positions against their formulas; the scalings of RoPE are compared in tests/models too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.nn.positions import rotate, rotation, sinusoids

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


@pytest.mark.parametrize("dim", [6, 7])
def test_sinusoids_turn_slower_from_pair_to_pair(dim):
    positions = sinusoids(50, dim)
    assert positions.shape == (50, dim) and positions.dtype == np.float32
    pairs = dim // 2
    sines, cosines = positions[:, :pairs], positions[:, -pairs:]
    np.testing.assert_allclose(sines**2 + cosines**2, 1, rtol=1e-5)
    waves = 10_000.0 ** (-np.arange(pairs) / pairs)
    np.testing.assert_allclose(sines, np.sin(np.arange(50)[:, None] * waves), atol=1e-5)


def test_a_rotation_is_that_of_complex_numbers():
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 8)).astype(np.float32)
    positions = np.array([[0, 1, 2, 3, 4], [0, 1, 0, 1, 7]])
    got = rotate(jnp.asarray(x), *rotation(jnp.asarray(positions), 8, 100.0))
    angles = positions[..., None] * 100.0 ** (-np.arange(4) / 4)
    turned = (x[..., :4] + 1j * x[..., 4:]) * np.exp(1j * angles)[:, :, None]
    want = np.concatenate([turned.real, turned.imag], -1)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_sines_are_computed_once_and_not_wherever_they_are_read():
    @jax.jit
    def layers(x, positions):
        turn = rotation(positions, 8, 100.0)
        for _ in range(3):
            x = rotate(jnp.tanh(x), *turn).swapaxes(0, 1).swapaxes(0, 1)
        return x.sum()

    args = jnp.ones((2, 5, 3, 8)), jnp.tile(jnp.arange(5), (2, 1))
    program = jax.jit(jax.grad(layers)).lower(*args).compile().as_text()
    assert program.count("sine(") == 2  # a sine, a cosine


def test_a_product_of_query_and_key_knows_only_their_distance():
    q, k = np.random.default_rng(0).normal(size=(2, 1, 1, 1, 8)).astype(np.float32)

    def score(i, j):
        a = rotate(jnp.asarray(q), *rotation(jnp.array([[i]]), 8, 10_000.0))
        b = rotate(jnp.asarray(k), *rotation(jnp.array([[j]]), 8, 10_000.0))
        return float((a * b).sum())

    assert score(3, 1) == pytest.approx(score(52, 50), rel=1e-4)
    assert score(3, 1) != pytest.approx(score(3, 2), rel=1e-2)


@pytest.mark.parametrize("kind", ["linear", "llama3", "yarn", "default"])
def test_scaled_angles_are_those_of_transformers(kind):
    transformers = pytest.importorskip("transformers")
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    given = dict(LLAMA3) if kind == "llama3" else {"rope_type": kind, "factor": 8.0}
    if kind == "yarn":
        given["original_max_position_embeddings"] = 64
    if kind == "default":
        given = {"rope_type": kind}
    config = transformers.LlamaConfig(
        hidden_size=64, num_attention_heads=1, rope_parameters={**given, "rope_theta": 500.0}
    )
    if kind == "default":
        frequencies, size = 500.0 ** (-np.arange(32) / 32), 1.0
    else:
        frequencies, size = ROPE_INIT_FUNCTIONS[kind](config, "cpu")
    cos, sin = rotation(jnp.array([[0, 1, 5]]), 64, 500.0, given)
    angles = np.array([[0], [1], [5]]) * np.asarray(frequencies)
    np.testing.assert_allclose(cos[0], np.cos(angles) * size, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(sin[0], np.sin(angles) * size, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "scaling, complaint",
    [
        ({"rope_type": "lama3"}, "rope_type 'lama3'. Did you mean 'llama3'"),
        ({"rope_type": "linear"}, "'linear' needs the number 'factor'"),
        ({**LLAMA3, "low_freq": 1.0}, "has a number 'low_freq'. Did you mean 'low_freq_factor'"),
    ],
)
def test_a_wrong_scaling_is_told(scaling, complaint):
    with pytest.raises(UserError, match=complaint):
        rotation(jnp.array([[0]]), 8, 10_000.0, scaling)


def test_an_odd_head_is_told():
    with pytest.raises(UserError, match="7 dimensions"):
        rotation(jnp.array([[0]]), 7, 10_000.0)
