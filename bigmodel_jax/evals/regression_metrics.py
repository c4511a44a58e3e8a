"""Regression metrics from predicted and true numbers, in float64 on the host."""

import numpy as np


def compute(predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """mse, rmse, mae, r2, pearson and spearman of numbers [examples].

    The definitions are scikit-learn's and SciPy's (checked in tests). r2 is left out where all labels
    are equal, the correlations also where all predictions are.
    """
    predicted, labels = predicted.astype(np.float64), labels.astype(np.float64)
    error = predicted - labels
    mse = np.square(error).mean()
    metrics = {"mse": mse, "rmse": np.sqrt(mse), "mae": np.abs(error).mean()}
    if np.ptp(labels) > 0:
        metrics["r2"] = 1 - mse / labels.var()
        if np.ptp(predicted) > 0:
            metrics["pearson"] = np.corrcoef(predicted, labels)[0, 1]
            metrics["spearman"] = np.corrcoef(ranks(predicted), ranks(labels))[0, 1]
    return {name: float(value) for name, value in metrics.items()}


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, from 1 up; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
