"""What one split teaches about the probabilities of another: a temperature, and thresholds.

Both are chosen on validation examples and applied to others; chosen on the examples they are judged by,
they would look better than they are.
"""

from typing import Any

import numpy as np

from bigmodel_jax.evals.classification_metrics import calibration_error

COLDEST, HOTTEST = 1e-3, 1e3  # of a model that is always right, or worth nothing, there is no best


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Their logarithms, float64; of one that float32 has as 0 that of the least it has."""
    least = np.finfo(np.float32).tiny
    return np.log(np.maximum(probabilities, least, dtype=np.float64))


def scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of the logits over the temperature, float64 [examples, classes].

    Logits and logarithms of probabilities differ by a constant, which a softmax does not see.
    """
    logits = log_probabilities(probabilities) / temperature
    logits -= logits.max(-1, keepdims=True)
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the least cross-entropy (Guo et al. 2017, section 4.2).

    The cross-entropy is convex in b = 1 / temperature: its slope, the mean over the examples of the
    logit that the model expects less the label's, grows with b, and is 0 at one place.

    Args:
        probabilities: [examples, classes].
        labels: integers [examples].
    """
    from scipy.optimize import brentq

    logits = log_probabilities(probabilities)
    given = logits[np.arange(len(labels)), labels]

    def slope(log_temperature: float) -> float:
        expected = (scaled(probabilities, np.exp(log_temperature)) * logits).sum(-1)
        return float((expected - given).mean())

    cold, hot = np.log(COLDEST), np.log(HOTTEST)
    if slope(cold) <= 0:  # however sure it is made, it is not sure enough
        return COLDEST
    if slope(hot) >= 0:
        return HOTTEST
    root: Any = brentq(slope, cold, hot)
    return float(np.exp(root))


def best_threshold(scores: np.ndarray, positive: np.ndarray, by: str) -> float:
    """From which score on an example counts as positive, for the most "accuracy" or "f1".

    Halfway between two scores that occur; of several that are as good, the nearest to 0.5.

    Args:
        scores: probabilities of the positive class [examples].
        positive: bool [examples].
    """
    found, at = np.unique(scores.astype(np.float64), return_inverse=True)
    # For each threshold: positives and negatives that lie above it. The first is below all scores.
    hits = positive.sum() - np.r_[0, np.cumsum(np.bincount(at, positive))]
    misses = (~positive).sum() - np.r_[0, np.cumsum(np.bincount(at, ~positive))]
    values = {
        "accuracy": hits + (~positive).sum() - misses,
        "f1": 2 * hits / (hits + misses + positive.sum()),
    }[by]
    between = np.r_[0.0, (found[1:] + found[:-1]) / 2, np.nextafter(1, 2)]
    best = np.flatnonzero(values >= values.max() * (1 - 1e-12))
    return float(between[best[np.abs(between[best] - 0.5).argmin()]])


def calibrated(
    fitted: tuple[np.ndarray, np.ndarray], judged: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """Numbers of `judged` before and after what `fitted` taught; each is (probabilities, labels).

    Returns:
        "temperature"; "ece" and "loss", the mean cross-entropy, each (before, after). Of two classes
        also "threshold for accuracy" and "threshold for f1", and "accuracy" and "f1", of class 1, each
        at 0.5 and at the threshold chosen for it.
    """
    probabilities, labels = judged
    temperature = fit_temperature(*fitted)
    after = scaled(probabilities, temperature)
    right = probabilities.argmax(-1) == labels
    rows = np.arange(len(labels))
    found: dict[str, Any] = {
        "temperature": temperature,
        "ece": [calibration_error(x.max(-1), right) for x in (probabilities, after)],
        "loss": [float(-log_probabilities(x)[rows, labels].mean()) for x in (probabilities, after)],
    }
    if probabilities.shape[-1] == 2:
        for by in ("accuracy", "f1"):
            threshold = best_threshold(fitted[0][:, 1], fitted[1] == 1, by)
            found[f"threshold for {by}"] = threshold
            found[by] = [_at(t, probabilities[:, 1], labels == 1, by) for t in (0.5, threshold)]
    return found


def _at(threshold: float, scores: np.ndarray, positive: np.ndarray, by: str) -> float:
    chosen = scores.astype(np.float64) >= threshold
    if by == "accuracy":
        return float((chosen == positive).mean())
    return float(2 * (chosen & positive).sum() / max(chosen.sum() + positive.sum(), 1))
