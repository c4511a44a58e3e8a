"""Pooling against loops over the real tokens, and what padding must not do."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.nn.pooling import Pool

LENGTHS = np.array([6, 1, 4])
MASK = np.arange(6) < LENGTHS[:, None]
KINDS = ["first", "last", "mean", "max", "attention"]


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(3, 6, 5)).astype(np.float32) - 1


def build(kind, x, **fields):
    """A pool and its parameters, all of them random so that none is a special case."""
    pool = Pool(kind, **fields)
    params = nn.unbox(pool.init(jax.random.key(0), x, MASK)).get("params", {})
    rng = np.random.default_rng(1)
    return pool, jax.tree.map(lambda p: rng.normal(size=p.shape).astype(np.float32), params)


def gradients(pool, params, x, mask):
    """Of a weighed sum of the pooled vectors, with respect to the parameters and x."""
    weights = np.random.default_rng(2).normal(size=(x.shape[0], x.shape[-1])).astype(np.float32)

    def loss(params, x):
        return (pool.apply({"params": params}, x, mask) * weights).sum()

    return jax.grad(loss, argnums=(0, 1))(params, x)


def by_loop(kind, params, x):
    """Each row's real tokens alone."""
    rows = []
    for row, length in zip(x, LENGTHS, strict=True):
        real = row[:length]
        if kind in ("first", "last"):
            rows.append(real[0 if kind == "first" else -1])
        elif kind == "mean":
            rows.append(real.mean(0))
        elif kind == "max":
            rows.append(real.max(0))
        else:
            hidden = np.tanh(real @ params["hidden"]["kernel"] + params["hidden"]["bias"])
            weights = np.exp(hidden @ params["score"]["kernel"])
            rows.append((weights * real).sum(0) / weights.sum())
    return np.stack(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_it_pools_the_real_tokens_of_each_row(kind, x):
    pool, params = build(kind, x)
    got = pool.apply({"params": params}, x, MASK)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, by_loop(kind, params, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [np.nan, np.inf, 1e30])
def test_what_padding_holds_reaches_neither_the_result_nor_a_gradient(kind, content, x):
    pool, params = build(kind, x)
    poisoned = np.where(MASK[..., None], x, content).astype(np.float32)
    want = pool.apply({"params": params}, x, MASK), gradients(pool, params, x, MASK)
    got = pool.apply({"params": params}, poisoned, MASK), gradients(pool, params, poisoned, MASK)
    jax.tree.map(np.testing.assert_array_equal, got, want)
    assert not np.any(np.asarray(got[1][1])[~MASK])


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_without_tokens_gives_zeros_and_finite_gradients(kind, x):
    pool, params = build(kind, x)
    mask = MASK & (np.arange(3) != 1)[:, None]
    got = pool.apply({"params": params}, x, mask)
    assert not np.any(got[1]) and np.all(got[0])
    for leaf in jax.tree.leaves(gradients(pool, params, x, mask)):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_is_pooled_in_float32(kind, x):
    pool, params = build(kind, x, dtype=jnp.bfloat16)
    half = jnp.asarray(x, jnp.bfloat16)
    got = pool.apply({"params": params}, half, MASK)
    assert got.dtype == jnp.float32
    atol = 0.1 if kind == "attention" else 1e-6
    want = by_loop(kind, params, np.asarray(half, np.float32))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=atol)


def test_attention_names_its_parameters_and_their_axes(x):
    boxed = Pool("attention").init(jax.random.key(0), x, MASK)["params"]
    assert boxed["hidden"]["kernel"].names == ("embed", "hidden")
    assert boxed["hidden"]["bias"].names == ("hidden",)
    assert boxed["score"]["kernel"].names == ("hidden", None)
    assert "bias" not in boxed["score"]
