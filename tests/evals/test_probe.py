"""Probes of frozen features, against scikit-learn's classifiers."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from bigmodel_jax.evals import probe


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(3, 6))
    labels = rng.integers(0, 3, 300)
    return (middles[labels] + rng.normal(size=(300, 6))).astype(np.float32), labels.astype(np.int32)


def test_the_nearest_vote_as_scikit_learns_do(data):
    x, y = data
    found = probe.nearest_vote(x[:200], y[:200], x[200:], 3, neighbours=5, temperature=0.07)

    def weigh(distances):  # of cosine distances
        return np.exp((1 - distances) / 0.07)

    reference = KNeighborsClassifier(5, metric="cosine", algorithm="brute", weights=weigh)
    np.testing.assert_array_equal(found, reference.fit(x[:200], y[:200]).predict(x[200:]))
    few = probe.nearest_vote(x[:3], y[:3], x[200:], 3, neighbours=20, temperature=0.07)
    assert set(few.tolist()) <= set(y[:3].tolist())


def test_the_linear_probe_is_the_penalised_optimum(data):
    x, y = data
    weights = probe.fit_linear(x, y, 3, penalty=0.01)
    reference = LogisticRegression(C=1 / (0.01 * len(x)), tol=1e-8, max_iter=1000).fit(x, y)
    logits = x @ np.asarray(weights["kernel"]) + np.asarray(weights["bias"])
    expected = reference.decision_function(x)
    centred = logits - logits.mean(-1, keepdims=True)
    np.testing.assert_allclose(centred, expected - expected.mean(-1, keepdims=True), atol=2e-3)
