"""Regression metrics are scikit-learn's and SciPy's."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from bigmodel_jax.evals.regression_metrics import compute


@pytest.mark.parametrize("ties", [False, True])
def test_metrics_are_those_of_scikit_learn_and_scipy(ties):
    rng = np.random.default_rng(0)
    labels = 100 + 10 * rng.normal(size=300)
    predicted = labels + 5 * rng.normal(size=300)
    if ties:
        labels, predicted = labels.round(-1), predicted.round(-1)
    labels, predicted = labels.astype(np.float32), predicted.astype(np.float32)
    a, b = labels.astype(np.float64), predicted.astype(np.float64)
    assert compute(predicted, labels) == pytest.approx(
        {
            "mse": sk.mean_squared_error(a, b),
            "rmse": sk.root_mean_squared_error(a, b),
            "mae": sk.mean_absolute_error(a, b),
            "r2": sk.r2_score(a, b),
            "pearson": stats.pearsonr(a, b).statistic,
            "spearman": stats.spearmanr(a, b).statistic,
        },
        rel=1e-9,
    )


def test_what_is_undefined_is_left_out():
    numbers = np.arange(5.0)
    assert compute(numbers, np.ones(5)).keys() == {"mse", "rmse", "mae"}
    assert compute(np.ones(5), numbers).keys() == {"mse", "rmse", "mae", "r2"}
