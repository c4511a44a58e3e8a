"""Multi-label metrics from probabilities and labels, on the host.

The definitions are scikit-learn's (checked in tests): F1 is 0 for a label that neither occurs nor is
predicted, and ranking metrics are means over the labels for which they are defined.
"""

from collections.abc import Sequence

import numpy as np

from bigmodel_jax import blocks
from bigmodel_jax.evals.classification_metrics import roc_auc


def compute(
    probabilities: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
    """Metrics by name.

    Args:
        probabilities: [examples, classes]; a label is predicted from 0.5 on.
        labels: 0 or 1, [examples, classes].
        names: of the classes; per-class metrics are "f1/NAME", where there are at most 20 of them.

    Returns:
        f1_micro (over all decisions), f1_macro (the mean over classes), subset_accuracy (examples
        with every label right), map (mean average precision) and roc_auc, the latter two means over
        the classes for which they are defined, and left out where there is none.
    """
    hits, either = (np.zeros(len(names), np.int64) for _ in range(2))
    right = 0
    for scores, given in zip(blocks.rows(probabilities), blocks.rows(labels), strict=True):
        truth, predicted = given > 0, scores >= 0.5
        hits += (truth & predicted).sum(0)
        either += truth.sum(0) + predicted.sum(0)
        right += (truth == predicted).all(1).sum()
    f1 = 2 * hits / np.maximum(either, 1)
    metrics = {
        "f1_micro": 2 * hits.sum() / max(either.sum(), 1),
        "f1_macro": f1.mean(),
        "subset_accuracy": right / len(labels),
    }
    ranked: dict[str, list[float]] = {"map": [], "roc_auc": []}
    for scores, given in zip(blocks.columns(probabilities), blocks.columns(labels), strict=True):
        ranked["map"].append(average_precision(scores, given > 0))
        ranked["roc_auc"].append(roc_auc(scores, given > 0))
    for name, found in ranked.items():
        if not np.isnan(found).all():
            metrics[name] = np.nanmean(found)
    if len(names) <= 20:
        metrics |= {f"f1/{name}": value for name, value in zip(names, f1, strict=True)}
    return {name: float(value) for name, value in metrics.items()}


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """The sum of precisions at each score, weighted by the gain in recall; NaN without positives."""
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))  # of examples with one score
    hits = np.cumsum(positive[order])[last]
    return float((hits / (last + 1) * np.diff(hits, prepend=0)).sum() / hits[-1])
