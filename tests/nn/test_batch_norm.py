"""Batch normalisation against torch's, over steps, devices and padded rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.nn.batch_norm import BatchNorm

BATCHES = np.random.default_rng(0).normal(3.0, 2.0, (3, 8, 4, 5, 6)).astype(np.float32)
PARAMS = {
    "scale": np.linspace(0.5, 1.5, 6, dtype=np.float32),
    "bias": np.linspace(-1, 1, 6, dtype=np.float32),
}
FRESH = {"mean": np.zeros(6, np.float32), "var": np.ones(6, np.float32)}
LAYER = BatchNorm(momentum=0.8, epsilon=1e-3)


@jax.jit
def step(params, stats, x, mask=None):
    """(outputs, statistics, gradients of x and of the parameters) of a weighed sum of squares."""

    def loss(params, x):
        given = {"params": params, "batch_stats": stats}
        y, new = LAYER.apply(given, x, mask, train=True, mutable=["batch_stats"])
        return (y * y * jnp.linspace(0, 1, 6)).sum(), (y, new["batch_stats"])

    gradients, (y, new) = jax.grad(loss, (0, 1), has_aux=True)(params, x)
    return y, new, gradients


def test_outputs_statistics_and_gradients_are_those_of_torch_over_several_steps():
    torch = pytest.importorskip("torch")
    peer = torch.nn.BatchNorm2d(6, eps=1e-3, momentum=0.2)
    peer.weight.data, peer.bias.data = map(torch.tensor, PARAMS.values())
    stats = FRESH
    for x in BATCHES:
        y, stats, (d_params, d_x) = step(PARAMS, stats, x)
        theirs = torch.tensor(x).permute(0, 3, 1, 2).requires_grad_()
        out = peer(theirs)
        peer.zero_grad()
        (out.square() * torch.linspace(0, 1, 6)[:, None, None]).sum().backward()
        for got, want in (
            (y, out.permute(0, 2, 3, 1)),
            (d_x, theirs.grad.permute(0, 2, 3, 1)),
            (d_params["scale"], peer.weight.grad),
            (d_params["bias"], peer.bias.grad),
            (stats["mean"], peer.running_mean),
            (stats["var"], peer.running_var),
        ):
            np.testing.assert_allclose(got, want.detach().numpy(), rtol=1e-4, atol=1e-4)
    want = peer.eval()(torch.tensor(BATCHES[0]).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    got = LAYER.apply({"params": PARAMS, "batch_stats": stats}, BATCHES[0])
    np.testing.assert_allclose(got, want.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_eight_devices_have_the_statistics_of_the_whole_batch():
    want = step(PARAMS, FRESH, BATCHES[0])
    mesh = sharding.make_mesh({"data": -1})
    with sharding.use(mesh):
        got = step(PARAMS, FRESH, sharding.put(BATCHES[0], mesh))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), got, want)


def test_padded_rows_count_for_nothing_whatever_they_hold():
    mask = np.arange(8) < 5
    x = np.where(mask[:, None, None, None], BATCHES[0], np.nan)
    y, stats, (d_params, d_x) = step(PARAMS, FRESH, x, mask)
    short, want, (_, d_short) = step(PARAMS, FRESH, x[:5])
    np.testing.assert_allclose(y[:5], short, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), stats, want)


def test_gradients_of_padded_rows_without_a_loss_change_nothing():
    mask = np.arange(8) < 5

    def loss(x, mask):
        given = {"params": PARAMS, "batch_stats": FRESH}
        y, _ = LAYER.apply(given, x, mask, train=True, mutable=["batch_stats"])
        return (y[:5] ** 2 * jnp.linspace(0, 1, 6)).sum()

    got = jax.grad(loss)(BATCHES[0], mask)
    want = jax.grad(loss)(BATCHES[0][:5], None)
    np.testing.assert_allclose(got[:5], want, rtol=1e-4, atol=1e-4)
    assert not np.any(got[5:])


def test_a_batch_of_padding_alone_leaves_the_statistics_as_they_are():
    seen = {"mean": FRESH["mean"] + 2, "var": FRESH["var"] * 3}
    stats = step(PARAMS, seen, BATCHES[0], np.zeros(8, bool))[1]
    jax.tree.map(np.testing.assert_array_equal, dict(stats), seen)
