"""Classification metrics from probabilities and labels, in float64 on the host.

The definitions are scikit-learn's (checked in tests): a class that is never predicted has precision
0, one that never occurs has recall 0, and averages over classes are unweighted ("macro").
"""

from collections.abc import Sequence

import numpy as np


def compute(
    probabilities: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, float], np.ndarray]:
    """(metrics, confusion matrix).

    Args:
        probabilities: [examples, classes].
        labels: integers [examples].
        names: of the classes; per-class metrics are "precision/NAME" and so on.

    Returns:
        accuracy, precision, recall and f1 (macro), roc_auc (of class 1 for two classes, else the
        mean of one against the rest over the classes that occur; left out where it is undefined),
        ece (expected calibration error), and precision, recall and f1 for each class, where there are at most 20 of them; and the
        counts [label, predicted].
    """
    classes = len(names)
    predicted = probabilities.argmax(-1)
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2)
    confusion = confusion.reshape(classes, classes)
    hits = np.diag(confusion).astype(np.float64)
    precision = hits / np.maximum(confusion.sum(0), 1)
    recall = hits / np.maximum(confusion.sum(1), 1)
    f1 = 2 * hits / np.maximum(confusion.sum(0) + confusion.sum(1), 1)
    present = (confusion.sum(0) + confusion.sum(1)) > 0
    metrics = {
        "accuracy": hits.sum() / len(labels),
        "precision": precision[present].mean(),
        "recall": recall[present].mean(),
        "f1": f1[present].mean(),
        "ece": calibration_error(probabilities.max(-1), predicted == labels),
    }
    ones = [1] if classes == 2 else range(classes)
    areas = [roc_auc(probabilities[:, c], labels == c) for c in ones]
    areas = [a for a in areas if not np.isnan(a)]
    if areas:
        metrics["roc_auc"] = np.mean(areas)
    if classes <= 20:
        for c, name in enumerate(names):
            metrics[f"precision/{name}"] = precision[c]
            metrics[f"recall/{name}"] = recall[c]
            metrics[f"f1/{name}"] = f1[c]
    return {name: float(value) for name, value in metrics.items()}, confusion


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The area under the ROC curve, ties counted half; NaN without both kinds of examples.

    It is the Mann-Whitney statistic: the chance that a positive example scores above a negative one.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    average_rank = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = average_rank[inverse][positive].sum()
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """The expected calibration error (Guo et al. 2017) over bins of equal width.

    The mean distance of confidence and accuracy within a bin, weighted by its examples.
    """
    gap = np.bincount(
        bin_of(confidence, bins), correct - confidence.astype(np.float64), minlength=bins
    )
    return float(np.abs(gap).sum() / len(confidence))


def bin_of(confidence: np.ndarray, bins: int = 15) -> np.ndarray:
    """Which of the bins of equal width, (low, high], each confidence is in."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
