"""The encoder against torch's TransformerEncoder, and its parts against NumPy."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import trees
from bigmodel_jax.nn.transformer import Encoder, LayerNorm, gelu, sinusoids

BATCH, LENGTH, DIM, HEADS, MLP = 3, 6, 8, 2, 12
LENGTHS = np.array([6, 2, 4])
MASK = np.arange(LENGTH) < LENGTHS[:, None]


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(BATCH, LENGTH, DIM)).astype(np.float32)


def build(x, **fields):
    """An encoder and its parameters, all of them random so that none is a special case."""
    encoder = Encoder(num_layers=2, num_heads=HEADS, mlp_dim=MLP, **fields)
    params = nn.unbox(encoder.init(jax.random.key(0), x))["params"]
    rng = np.random.default_rng(1)

    def noisy(p):
        return p + rng.normal(size=p.shape).astype(np.float32) * 0.3

    return encoder, jax.tree.map(noisy, params)


def to_torch(torch, params):
    """torch's encoder with the same numbers, and what gives its gradients by our paths."""
    layer = torch.nn.TransformerEncoderLayer(
        DIM, HEADS, MLP, dropout=0.0, activation="gelu", norm_first=True, batch_first=True
    )
    peer = torch.nn.TransformerEncoder(
        layer, 2, norm=torch.nn.LayerNorm(DIM), enable_nested_tensor=False
    )
    flat = trees.flatten(params)
    names = {"norm/scale": "norm.weight", "norm/bias": "norm.bias"}
    for i in range(2):
        ours, theirs = f"block_{i}/", f"layers.{i}."
        for a, b in {"attention_norm": "norm1", "mlp_norm": "norm2"}.items():
            names[f"{ours}{a}/scale"] = f"{theirs}{b}.weight"
            names[f"{ours}{a}/bias"] = f"{theirs}{b}.bias"
        for a, b in {
            "mlp/up": "linear1",
            "mlp/down": "linear2",
            "attention/out": "self_attn.out_proj",
        }.items():
            names[f"{ours}{a}/kernel"] = f"{theirs}{b}.weight"
            names[f"{ours}{a}/bias"] = f"{theirs}{b}.bias"
        for a in ("query", "key", "value"):
            names[f"{ours}attention/{a}/kernel"] = f"{theirs}self_attn.in_proj_weight"
            names[f"{ours}attention/{a}/bias"] = f"{theirs}self_attn.in_proj_bias"
    assert names.keys() == flat.keys()

    def part(path, value):
        """Of the one matrix and bias that torch has for query, key and value."""
        for i, name in enumerate(("query", "key", "value")):
            if f"/{name}/" in path:
                return value[i * DIM : (i + 1) * DIM]
        return value

    theirs = dict(peer.named_parameters())
    with torch.no_grad():
        for path, name in names.items():
            part(path, theirs[name]).copy_(torch.tensor(matrix(path, flat[path])))
    return peer, lambda: {path: part(path, theirs[name].grad) for path, name in names.items()}


def matrix(path, value):
    """As torch has it: [out, in]."""
    value = np.array(value)
    if path.endswith("bias") or path.endswith("scale"):
        return value.reshape(-1)
    rows = DIM if "attention" in path else value.shape[0]
    return value.reshape(rows, -1).T


def test_outputs_and_every_gradient_equal_those_of_torch(x):
    torch = pytest.importorskip("torch")
    encoder, params = build(x)
    weights = np.random.default_rng(2).normal(size=x.shape).astype(np.float32) * MASK[..., None]

    def loss(params, x):
        y = encoder.apply({"params": params}, x, MASK[:, None, None, :])
        return (y * weights).sum(), y

    (d_params, d_x), y = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, x)

    peer, gradients = to_torch(torch, params)
    leaf = torch.tensor(x, requires_grad=True)
    want = peer(leaf, src_key_padding_mask=torch.tensor(~MASK))
    (want * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(
        np.asarray(y)[MASK], want.detach().numpy()[MASK], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(d_x, leaf.grad, rtol=1e-3, atol=1e-5)
    for path, gradient in gradients().items():
        ours = matrix(path, trees.flatten(d_params)[path])
        np.testing.assert_allclose(ours, gradient, rtol=1e-3, atol=2e-5, err_msg=path)


def test_what_padding_holds_does_not_reach_the_tokens(x):
    encoder, params = build(x)
    look = MASK[:, None, None, :]
    want = encoder.apply({"params": params}, x, look)
    other = np.where(MASK[..., None], x, 1e3).astype(np.float32)
    got = encoder.apply({"params": params}, other, look)
    np.testing.assert_allclose(got[MASK], want[MASK], rtol=1e-5, atol=1e-6)


def test_dropout_acts_in_training_only(x):
    encoder, params = build(x, dropout=0.5)
    variables = {"params": params}
    want = build(x)[0].apply(variables, x)
    np.testing.assert_array_equal(encoder.apply(variables, x), want)
    noisy = [
        encoder.apply(variables, x, train=True, rngs={"dropout": jax.random.key(seed)})
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert not np.allclose(noisy[0], noisy[2]) and not np.allclose(noisy[0], want)


def test_bfloat16_is_close_to_float32(x):
    encoder, params = build(x)
    half, _ = build(x, dtype=jnp.bfloat16)
    got = half.apply({"params": params}, x)
    want = encoder.apply({"params": params}, x)
    assert got.dtype == jnp.bfloat16
    assert np.linalg.norm(np.asarray(got, np.float32) - want) < 0.03 * np.linalg.norm(want)


def test_gelu_and_its_slope_are_those_of_the_formula():
    x = np.linspace(-6, 6, 41).astype(np.float32)
    phi = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
    density = np.exp(-(x.astype(np.float64) ** 2) / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(gelu(jnp.asarray(x)), x * phi, rtol=1e-4, atol=1e-6)
    slope = jax.vmap(jax.grad(gelu))(jnp.asarray(x))
    np.testing.assert_allclose(slope, phi + x * density, rtol=1e-4, atol=1e-6)


def test_layer_norm_names_the_axes_of_its_parameters(x):
    params = LayerNorm().init(jax.random.key(0), x)["params"]
    assert params["scale"].names == params["bias"].names == ("embed",)
    got = LayerNorm().apply({"params": nn.unbox(params)}, x)
    centred = x - x.mean(-1, keepdims=True)
    want = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dim", [6, 7])
def test_sinusoids_turn_slower_from_pair_to_pair(dim):
    positions = sinusoids(50, dim)
    assert positions.shape == (50, dim) and positions.dtype == np.float32
    pairs = dim // 2
    sines, cosines = positions[:, :pairs], positions[:, -pairs:]
    np.testing.assert_allclose(sines**2 + cosines**2, 1, rtol=1e-5)
    waves = 10_000.0 ** (-np.arange(pairs) / pairs)
    np.testing.assert_allclose(sines, np.sin(np.arange(50)[:, None] * waves), atol=1e-5)
