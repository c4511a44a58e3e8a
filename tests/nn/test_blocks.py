"""The stack of blocks against torch's TransformerEncoder, and its forms against each other."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.layers import stack_layers, unstack_layers
from bigmodel_jax.nn.mlp import MLP
from bigmodel_jax.nn.norm import LayerNorm
from bigmodel_jax.nn.self_attention import SelfAttention
from bigmodel_jax.nn.transformer import REMATS, Block, Stack

BATCH, LENGTH, DIM, HEADS, MLP_DIM = 3, 6, 8, 2, 12
LENGTHS = np.array([6, 2, 4])
MASK = np.arange(LENGTH) < LENGTHS[:, None]


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(BATCH, LENGTH, DIM)).astype(np.float32)


def build(x, dropout=0.0, norm_first=True, causal=False, dtype=jnp.float32, **fields):
    """A stack and its parameters, all of them random so that none is a special case."""
    norm = functools.partial(LayerNorm, dtype=dtype)
    block = functools.partial(
        Block,
        functools.partial(SelfAttention, HEADS, causal=causal, dtype=dtype),
        functools.partial(MLP, MLP_DIM, dtype=dtype),
        norm,
        norm_first=norm_first,
        dropout=dropout,
    )
    stack = Stack(2, block, norm, **fields)
    params = nn.unbox(stack.init(jax.random.key(0), x.astype(dtype)))["params"]
    rng = np.random.default_rng(1)

    def noisy(p):
        return p + rng.normal(size=p.shape).astype(np.float32) * 0.3

    return stack, jax.tree.map(noisy, params)


def to_torch(torch, params, norm_first):
    """torch's encoder with the same numbers, and what gives its gradients by our paths."""
    layer = torch.nn.TransformerEncoderLayer(
        DIM, HEADS, MLP_DIM, dropout=0.0, activation="gelu", norm_first=norm_first, batch_first=True
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


@pytest.mark.parametrize("norm_first", [True, False])
def test_outputs_and_every_gradient_equal_those_of_torch(x, norm_first):
    torch = pytest.importorskip("torch")
    encoder, params = build(x, norm_first=norm_first)
    weights = np.random.default_rng(2).normal(size=x.shape).astype(np.float32) * MASK[..., None]

    def loss(params, x):
        y, _ = encoder.apply({"params": params}, x, mask=MASK[:, None, None, :])
        return (y * weights).sum(), y

    (d_params, d_x), y = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, x)

    peer, gradients = to_torch(torch, params, norm_first)
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
    want, _ = encoder.apply({"params": params}, x, mask=look)
    other = np.where(MASK[..., None], x, 1e3).astype(np.float32)
    got, _ = encoder.apply({"params": params}, other, mask=look)
    np.testing.assert_allclose(got[MASK], want[MASK], rtol=1e-5, atol=1e-6)


def test_dropout_acts_in_training_only(x):
    encoder, params = build(x, dropout=0.5)
    variables = {"params": params}
    want, _ = build(x)[0].apply(variables, x)
    np.testing.assert_array_equal(encoder.apply(variables, x)[0], want)
    noisy = [
        encoder.apply(variables, x, train=True, rngs={"dropout": jax.random.key(seed)})[0]
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert not np.allclose(noisy[0], noisy[2]) and not np.allclose(noisy[0], want)


def test_bfloat16_is_close_to_float32(x):
    encoder, params = build(x)
    half, _ = build(x, dtype=jnp.bfloat16)
    got, _ = half.apply({"params": params}, x.astype(jnp.bfloat16))
    want, _ = encoder.apply({"params": params}, x)
    assert got.dtype == jnp.bfloat16
    assert np.linalg.norm(np.asarray(got, np.float32) - want) < 0.03 * np.linalg.norm(want)


def outputs_and_gradients(stack, params, x):
    def loss(params):
        y, _ = stack.apply({"params": params}, x, mask=MASK[:, None, None, :])
        return (y * jnp.sin(y)).sum(), y

    gradients, y = jax.grad(loss, has_aux=True)(params)
    return y, gradients


def assert_close(got, want):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), got, want)


@pytest.mark.parametrize("windows", [(None,), (3,), (2, None)])
def test_scanned_layers_compute_what_unrolled_ones_do(x, windows):
    fields = {"causal": True, "windows": windows}
    stack, params = build(x, **fields)
    scanned, shapes = build(x, scan=True, **fields)
    stacked = stack_layers(params)
    assert jax.tree.map(jnp.shape, stacked) == jax.tree.map(jnp.shape, shapes)
    want = outputs_and_gradients(stack, params, x)
    y, gradients = outputs_and_gradients(scanned, stacked, x)
    assert_close((y, unstack_layers(gradients)), want)


def test_scanned_parameters_have_the_axis_layers_first_and_differ_from_layer_to_layer(x):
    scanned, _ = build(x, scan=True)
    boxed = scanned.init(jax.random.key(0), x)["params"]["blocks"]["mlp"]["up"]["kernel"]
    assert boxed.names == ("layers", "embed", "mlp")
    kernel = nn.unbox(boxed)
    assert kernel.shape == (2, DIM, MLP_DIM) and not np.allclose(kernel[0], kernel[1])


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("remat", [name for name in REMATS if name != "none"])
def test_what_the_backward_pass_computes_anew_changes_nothing(x, remat, scan):
    plain, params = build(x, scan=scan)
    sparing, _ = build(x, scan=scan, remat=remat)
    got = outputs_and_gradients(sparing, params, x)
    assert_close(got, outputs_and_gradients(plain, params, x))


def test_it_keeps_less_the_more_it_computes_anew(x):
    kept = {}
    for remat in REMATS:
        stack, params = build(x, remat=remat)
        _, pull = jax.vjp(lambda p, s=stack: s.apply({"params": p}, x)[0].sum(), params)
        kept[remat] = sum(leaf.size for leaf in jax.tree.leaves(pull))
    assert kept["full"] < kept["dots"] < kept["none"]


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("remat", REMATS)
def test_kernels_are_told_a_window_as_a_number(x, remat, scan, monkeypatch):
    seen = []

    def attention(q, k, v, *, window, **options):
        seen.append(window)
        return q

    stack, params = build(x, causal=True, windows=(3,), remat=remat, scan=scan)
    monkeypatch.setattr("bigmodel_jax.nn.self_attention.attention", attention)
    jax.grad(lambda p: stack.apply({"params": p}, x)[0].sum())(params)
    assert seen and all(type(window) is int for window in seen)


def test_dropout_differs_from_layer_to_layer_of_a_scan_and_is_kept_by_remat(x):
    noisy = []
    for remat in ("none", "full"):
        stack, params = build(x, dropout=0.5, scan=True, remat=remat)
        rngs = {"dropout": jax.random.key(0)}
        noisy.append(stack.apply({"params": params}, x, train=True, rngs=rngs)[0])
    np.testing.assert_allclose(*noisy, rtol=1e-5, atol=1e-6)


def test_an_unknown_remat_is_told(x):
    with pytest.raises(UserError, match="'fulll'. Did you mean 'full'"):
        build(x, remat="fulll")
