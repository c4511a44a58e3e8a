"""Matrix factorisation, SVD++ and NeuMF against loops over the published equations."""

import jax
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.models import factors, ncf

USERS, ITEMS = 5, 8
HISTORY = np.array([[0, 0, 0], [0, 2, 5], [7, 1, 3], [0, 0, 4]], np.int32)
USER = np.array([0, 1, 2, 4], np.int32)
ITEM = np.array([[3, 0], [5, 1], [0, 6], [7, 2]], np.int32)


def drawn(model):
    """Parameters that are nowhere 0, as biases are at the start."""
    variables = sharding.unbox(model.init(jax.random.key(0), USER, ITEM, HISTORY))
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(x.dtype), variables["params"])


@pytest.mark.parametrize("implicit", [False, True])
def test_a_rating_is_that_of_koren_s_equation_15_and_what_is_unknown_adds_nothing(implicit):
    model = factors.Model(USERS, ITEMS, rank=3, implicit=implicit)
    params = drawn(model)
    wanted = np.zeros(ITEM.shape)
    for row, (u, items) in enumerate(zip(USER, ITEM, strict=True)):
        p = params["users"]["embedding"][u] if u else np.zeros(3)
        rated = [j for j in HISTORY[row] if j]
        if implicit and rated:
            p = p + len(rated) ** -0.5 * sum(params["rated"]["embedding"][j] for j in rated)
        for place, i in enumerate(items):
            b_u = params["user_bias"][u] if u else 0
            q, b_i = params["items"]["embedding"][i], params["item_bias"][i]
            wanted[row, place] = b_u + (b_i + q @ p if i else 0)
    found = model.apply({"params": params}, USER, ITEM, HISTORY)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    # All items at once are what they are one by one.
    every = model.apply({"params": params}, USER, np.arange(ITEMS)[None], HISTORY)
    np.testing.assert_allclose(np.take_along_axis(np.asarray(every), ITEM, 1), found, rtol=1e-5)


def test_neumf_is_a_product_beside_a_perceptron():
    model = ncf.Model(USERS, ITEMS, rank=2, hidden=(6, 4))
    params = drawn(model)

    def of(table, i):
        return params[table]["embedding"][i] * (i > 0)

    def dense(name, x):
        return x @ params[name]["kernel"] + params[name]["bias"]

    wanted = np.zeros(ITEM.shape)
    for row, u in enumerate(USER):
        for place, i in enumerate(ITEM[row]):
            x = np.concatenate([of("mlp_users", u), of("mlp_items", i)])
            for name in ("hidden_0", "hidden_1"):
                x = np.maximum(dense(name, x), 0)
            product = of("users", u) * of("items", i)
            wanted[row, place] = dense("head", np.concatenate([product, x]))[0]
    found = model.apply({"params": params}, USER, ITEM, HISTORY)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
