"""Policies against scipy's distributions; running statistics against those of all rows at once."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from bigmodel_jax.acting import policies, statistics

RNG = np.random.default_rng(0)


def test_a_discrete_policy_is_a_softmax():
    logits = RNG.normal(size=(5, 3)).astype(np.float32)
    policy = {"logits": jnp.asarray(logits)}
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    action = np.array([0, 2, 1, 1, 0])
    np.testing.assert_allclose(
        policies.log_p(policy, action), np.log(p[np.arange(5), action]), rtol=1e-5
    )
    np.testing.assert_allclose(
        policies.entropy(policy), [stats.entropy(row) for row in p], rtol=1e-5
    )
    assert policies.mode(policy).tolist() == p.argmax(-1).tolist()
    many = {"logits": jnp.broadcast_to(policy["logits"], (20_000, 5, 3))}
    drawn = np.asarray(policies.sample(many, jax.random.key(0)))
    shares = np.stack([(drawn == i).mean(0) for i in range(3)], -1)
    np.testing.assert_allclose(shares, p, atol=0.015)


def test_a_continuous_policy_is_of_independent_normal_numbers():
    mean, log_std = RNG.normal(size=(2, 5, 2)).astype(np.float32)
    policy = {"mean": jnp.asarray(mean), "log_std": jnp.asarray(log_std)}
    action = RNG.normal(size=(5, 2)).astype(np.float32)
    wanted = stats.norm(mean, np.exp(log_std))
    np.testing.assert_allclose(
        policies.log_p(policy, action), wanted.logpdf(action).sum(-1), rtol=1e-4
    )
    np.testing.assert_allclose(policies.entropy(policy), wanted.entropy().sum(-1), rtol=1e-4)
    assert np.array_equal(policies.mode(policy), mean)
    many = {k: jnp.broadcast_to(v, (20_000, 5, 2)) for k, v in policy.items()}
    drawn = np.asarray(policies.sample(many, jax.random.key(0)))
    np.testing.assert_allclose((drawn.mean(0) - mean) / np.exp(log_std), 0, atol=0.04)
    np.testing.assert_allclose(drawn.std(0) / np.exp(log_std), 1, atol=0.03)


def test_running_statistics_are_those_of_all_rows():
    found, seen = statistics.none((2,)), []
    for size in (7, 1, 30):
        rows = (RNG.normal(size=(size, 3, 2)) * [1, 40] + [0, 300]).astype(np.float32)
        found, seen = statistics.merge(found, jnp.asarray(rows)), [*seen, rows.reshape(-1, 2)]
    every = np.concatenate(seen)
    np.testing.assert_allclose(found["mean"], every.mean(0), rtol=1e-4)
    np.testing.assert_allclose(found["variance"], every.var(0), rtol=1e-4)
    scaled = statistics.normalise(found, jnp.asarray(every))
    np.testing.assert_allclose(scaled, (every - every.mean(0)) / every.std(0), atol=1e-3)
    assert float(statistics.normalise(found, jnp.array([0.0, 1e9]))[1]) == statistics.LARGEST
