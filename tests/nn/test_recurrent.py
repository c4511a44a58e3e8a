"""The LSTM against torch, a NumPy loop and automatic differentiation of a plain scan."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.nn.recurrent import LSTM, lstm

BATCH, LENGTH, IN, HIDDEN = 8, 7, 5, 4
LENGTHS = np.array([7, 3, 5, 1, 7, 2, 6, 4])
MASK = np.arange(LENGTH) < LENGTHS[:, None]


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(BATCH, LENGTH, IN)).astype(np.float32)


def layer(x, **fields):
    """An LSTM and its parameters, all of them random so that none is a special case."""
    module = LSTM(HIDDEN, **fields)
    params = nn.unbox(module.init(jax.random.key(0), x, MASK))["params"]
    params["bias"] += 0.1 * np.arange(4 * HIDDEN)
    return module, params


def loss_of(module, x, mask=MASK):
    """A loss that weighs every real output and the final state, and its gradients."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(BATCH, LENGTH, HIDDEN)).astype(np.float32)[:, : x.shape[1]]
    final_weights = rng.normal(size=(BATCH, HIDDEN)).astype(np.float32)

    def loss(params, x):
        outputs, final = module.apply({"params": params}, x, mask)
        outputs, final = outputs.astype(jnp.float32), final.astype(jnp.float32)
        real = jnp.where(mask[..., None], outputs * weights, 0)
        total = real.sum() + (final * final_weights).sum()
        return total, (outputs, final)

    return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True), weights, final_weights


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("reverse", [False, True])
def test_outputs_are_those_of_a_loop_over_the_real_tokens_of_each_row(x, reverse):
    module, params = layer(x, reverse=reverse)
    outputs, final = module.apply({"params": params}, x, MASK)
    for row, length in enumerate(LENGTHS):
        h = c = np.zeros(HIDDEN)
        for t in reversed(range(length)) if reverse else range(length):
            gates = x[row, t] @ params["input_kernel"] + h @ params["recurrent_kernel"]
            i, f, g, o = np.split(gates + params["bias"], 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            np.testing.assert_allclose(outputs[row, t], h, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(final[row], h, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_outputs_and_gradients_equal_torch_on_ragged_rows(x, reverse):
    torch = pytest.importorskip("torch")
    rnn = torch.nn.utils.rnn
    module, params = layer(x, reverse=reverse)
    gradient, weights, final_weights = loss_of(module, x)
    (_, (outputs, final)), (d_params, d_x) = gradient(params, x)

    # Of a bidirectional torch LSTM we look at one direction; its two biases add up.
    peer = torch.nn.LSTM(IN, HIDDEN, batch_first=True, bidirectional=True)
    suffix = "_l0_reverse" if reverse else "_l0"
    names = {"input_kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih"}
    with torch.no_grad():
        for ours, theirs in names.items():
            getattr(peer, theirs + suffix).copy_(torch.tensor(np.array(params[ours].T)))
        getattr(peer, "bias_hh" + suffix).zero_()
    leaf = torch.tensor(x, requires_grad=True)
    packed = rnn.pack_padded_sequence(leaf, LENGTHS, batch_first=True, enforce_sorted=False)
    peer_outputs, (peer_final, _) = peer(packed)
    peer_outputs, _ = rnn.pad_packed_sequence(peer_outputs, batch_first=True)
    peer_outputs = peer_outputs.chunk(2, -1)[reverse]
    loss = (peer_outputs * torch.tensor(weights * MASK[..., None])).sum()
    (loss + (peer_final[int(reverse)] * torch.tensor(final_weights)).sum()).backward()

    def same(ours, theirs):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-4, atol=1e-5)

    same(np.where(MASK[..., None], outputs, 0), peer_outputs)
    same(final, peer_final[int(reverse)])
    same(d_x, leaf.grad)
    for ours, theirs in names.items():
        same(d_params[ours].T, getattr(peer, theirs + suffix).grad)


def plain_scan(gates, kernel, mask, reverse):
    """The same recurrence as a scan that is left to automatic differentiation."""

    def step(state, inputs):
        gates, real = inputs
        i, f, g, o = jnp.split(gates + state[0] @ kernel, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        new = jax.nn.sigmoid(o) * jnp.tanh(c), c
        state = jax.tree.map(lambda a, b: jnp.where(real[:, None], a, b), new, state)
        return state, state[0]

    zeros = jnp.zeros((gates.shape[1], kernel.shape[0]))
    return jax.lax.scan(step, (zeros, zeros), (gates, mask), reverse=reverse)[1]


@pytest.mark.parametrize("reverse", [False, True])
def test_own_backward_equals_automatic_differentiation(reverse):
    keys = jax.random.split(jax.random.key(0), 3)
    gates = jax.random.normal(keys[0], (LENGTH, BATCH, 4 * HIDDEN))
    kernel = jax.random.normal(keys[1], (HIDDEN, 4 * HIDDEN))
    d_h = jax.random.normal(keys[2], (LENGTH, BATCH, HIDDEN))
    results = []
    for recurrence in lstm, plain_scan:
        h, pull = jax.vjp(lambda g, k, r=recurrence: r(g, k, MASK.T, reverse), gates, kernel)
        results.append((h, *pull(d_h)))
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_what_padding_holds_and_how_much_there_is_do_not_matter(x, reverse):
    module, params = layer(x, reverse=reverse)
    gradient = loss_of(module, x)[0]
    (_, (_, final)), (d_params, d_x) = gradient(params, x)
    assert not np.any(np.asarray(d_x)[~MASK])

    short = LENGTHS <= 5
    cut_outputs, cut_final = module.apply({"params": params}, x[short, :5], MASK[short, :5])
    np.testing.assert_allclose(cut_final, final[short], rtol=1e-5, atol=1e-6)

    other = np.where(MASK[..., None], x, 1e3)
    (_, (_, other_final)), (d_other, _) = gradient(params, other)
    np.testing.assert_array_equal(other_final, final)
    for name in "recurrent_kernel", "input_kernel", "bias":
        np.testing.assert_allclose(d_other[name], d_params[name], rtol=1e-5, atol=1e-6)


def test_a_row_of_padding_alone_stays_at_zero(x):
    module, params = layer(x)
    outputs, final = module.apply({"params": params}, x, np.zeros_like(MASK))
    assert not np.any(outputs) and not np.any(final)


def test_padding_keeps_the_state_of_the_last_real_token(x):
    module, params = layer(x)
    outputs, final = module.apply({"params": params}, x, MASK)
    last = np.asarray(outputs)[np.arange(BATCH), LENGTHS - 1]
    np.testing.assert_array_equal(final, last)
    np.testing.assert_array_equal(final, outputs[:, -1])


def test_bfloat16_is_close_to_float32_in_outputs_and_gradients(x):
    module, params = layer(x)
    (_, (outputs, _)), exact = loss_of(module, x)[0](params, x)
    half, _ = layer(x, dtype=jnp.bfloat16)
    assert half.apply({"params": params}, x, MASK)[0].dtype == jnp.bfloat16
    (_, (half_outputs, _)), close = loss_of(half, x)[0](params, x)
    np.testing.assert_allclose(half_outputs, outputs, atol=0.02)
    for got, want in zip(jax.tree.leaves(close), jax.tree.leaves(exact), strict=True):
        assert got.dtype == jnp.float32
        assert np.linalg.norm(got - want) < 0.02 * np.linalg.norm(want)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_batch_split_over_devices_gives_the_same_and_moves_no_activations(x, dtype):
    module, params = layer(x, dtype=dtype)
    step = jax.jit(lambda params, x, mask: loss_of(module, x, mask)[0](params, x))
    want = step(params, x, MASK)
    mesh = sharding.make_mesh({"data": -1})
    with sharding.use(mesh):
        batch = sharding.put((x, MASK), mesh)
        program = step.lower(params, *batch).compile()
        got = program(params, *batch)
    assert "all-gather(" not in program.as_text()
    atol = 1e-5 if dtype == jnp.float32 else 1e-2
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol)


def test_it_starts_with_open_forget_gates_and_an_orthogonal_recurrence(x):
    boxed = LSTM(HIDDEN).init(jax.random.key(0), x, MASK)["params"]
    assert boxed["input_kernel"].names == ("embed", "hidden")
    params = nn.unbox(boxed)
    np.testing.assert_array_equal(params["bias"], np.repeat([0, 1, 0, 0], HIDDEN))
    kernel = params["recurrent_kernel"]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(HIDDEN), atol=1e-5)
