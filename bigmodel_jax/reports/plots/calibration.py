"""Whether a probability means what it says: the reliability diagram."""

import numpy as np

from bigmodel_jax.evals.classification_metrics import bin_of, calibration_error
from bigmodel_jax.reports.plots import style

BINS = 15


def bins(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """(examples, mean confidence, accuracy) in BINS bins of equal width over the top probability."""
    confidence = probabilities.max(-1)
    right = probabilities.argmax(-1) == labels
    index = bin_of(confidence, BINS)
    counts = np.bincount(index, minlength=BINS)
    some = np.maximum(counts, 1)
    confidences = np.bincount(index, confidence, BINS) / some
    return counts, confidences, np.bincount(index, right, BINS) / some


@style.drawn
def plot(probabilities: np.ndarray, labels: np.ndarray, title: str):
    """Accuracy over confidence, and below how often the model is so sure.

    Args:
        probabilities: [examples, classes].
        labels: integers [examples].
    """
    counts, confidences, accuracies = bins(probabilities, labels)
    ece = calibration_error(probabilities.max(-1), probabilities.argmax(-1) == labels, BINS)
    figure, ax = style.axes(
        f"{title}\nexpected calibration error {ece:.4f}",
        ylabel="accuracy",
        size=(4.8, 4.2),
    )
    from matplotlib.gridspec import GridSpec

    grid = GridSpec(2, 1, figure=figure, height_ratios=(4, 1))
    ax.set_subplotspec(grid[0])
    below = figure.add_subplot(grid[1], sharex=ax)
    left, width, some = np.arange(BINS) / BINS, 1 / BINS, counts > 0
    middle = left + width / 2
    low, high = np.minimum(accuracies, confidences), np.maximum(accuracies, confidences)
    blue, red = style.PALETTE[:2]
    ax.bar(middle[some], accuracies[some], width * 0.94, color=blue, label="accuracy")
    ax.bar(
        middle[some], (high - low)[some], width * 0.94, bottom=low[some], color=f"{red}55",
        edgecolor=red, linewidth=1, label="gap to the confidence",
    )  # fmt: skip
    ax.plot([0, 1], [0, 1], "--", color=style.FAINT, linewidth=1, label="calibrated")
    style.unit(ax)
    ax.tick_params(labelbottom=False)
    figure.legend(loc="outside lower center", ncols=3)
    below.bar(middle, 100 * counts / max(counts.sum(), 1), width * 0.94, color=style.FAINT)
    below.set(xlabel="confidence (probability of the predicted class)", ylabel="examples (%)")
    return figure
