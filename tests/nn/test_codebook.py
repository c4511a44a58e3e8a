"""Codes: the nearest is chosen, they follow what they stand for, and the dead are begun anew."""

import jax
import numpy as np
import pytest

from bigmodel_jax.nn.codebook import DEAD, Codebook

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4, 2)).astype(np.float32)
BOOK = {
    "embedding": RNG.normal(size=(5, 2)).astype(np.float32),
    "count": np.full(5, 2.0, np.float32),
    "total": RNG.normal(size=(5, 2)).astype(np.float32),
}
book = Codebook(5, decay=0.8)


def moved(count, mask=None):
    variables = {"codebook": {**BOOK, "count": np.asarray(count, np.float32)}}
    rngs = {"dropout": jax.random.key(1)}
    out = book.apply(variables, X, mask, train=True, rngs=rngs, mutable=["codebook"])
    return jax.device_get(out[1]["codebook"])


def nearest():
    return np.array([[np.square(BOOK["embedding"] - x).sum(1).argmin() for x in row] for row in X])


def test_the_nearest_code_is_found_and_its_gradient_is_the_vectors():
    found, index = book.apply({"codebook": BOOK}, X)
    np.testing.assert_array_equal(index, nearest())
    np.testing.assert_allclose(found, BOOK["embedding"][nearest()], rtol=1e-5)
    weights = RNG.normal(size=X.shape).astype(np.float32)
    slope = jax.grad(lambda x: (book.apply({"codebook": BOOK}, x)[0] * weights).sum())(X)
    np.testing.assert_allclose(slope, weights)


@pytest.mark.parametrize("mask", [None, np.array([True, False, True])])
def test_codes_are_moving_averages_of_what_they_stand_for(mask):
    new = moved(np.full(5, 2.0), mask)
    real = np.ones(3, bool) if mask is None else mask
    for code in range(5):
        chosen = (nearest() == code) & real[:, None]
        count = 0.8 * 2.0 + 0.2 * chosen.sum()
        total = 0.8 * BOOK["total"][code] + 0.2 * X[chosen].sum(0)
        np.testing.assert_allclose(new["count"][code], count, rtol=1e-5)
        np.testing.assert_allclose(new["embedding"][code], total / count, rtol=1e-4)


def test_a_code_that_stands_for_nothing_is_put_on_a_real_vector():
    real = np.array([True, False, True])
    unused = next(c for c in range(5) if c not in nearest()[real])
    fair, count = 8 / 5, np.full(5, 2.0)
    count[unused] = 0.9 * DEAD * fair / 0.8
    new = moved(count, real)
    assert new["count"][unused] == pytest.approx(fair)
    assert np.square(X[real] - new["embedding"][unused]).sum(-1).min() < 1e-9
    count[unused] = 1.1 * DEAD * fair / 0.8  # one that still stands for something is left alone
    kept = moved(count, real)
    assert kept["count"][unused] == pytest.approx(1.1 * DEAD * fair)
