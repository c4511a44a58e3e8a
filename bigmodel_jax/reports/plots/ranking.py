"""What every threshold would give: ROC and precision-recall curves."""

from collections.abc import Sequence

import numpy as np

from bigmodel_jax.evals.multilabel_metrics import average_precision
from bigmodel_jax.reports.plots import style

EACH = 10  # classes that get a line of their own
COSTLY = 50_000_000  # scores to sort, beyond which there is no curve
POINTS = 400  # of a line
GRID = np.linspace(0, 1, 201)  # of an average over lines


def roc(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(false positive rate, true positive rate), both rising from 0 to 1."""
    hits, misses = _cumulative(scores, positive)
    return np.r_[0, misses / misses[-1]], np.r_[0, hits / hits[-1]]


def precision_recall(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(recall rising from 0 to 1, precision); the first point repeats the second's precision."""
    hits, misses = _cumulative(scores, positive)
    precision = hits / (hits + misses)
    return np.r_[0, hits / hits[-1]], np.r_[precision[0], precision]


@style.drawn
def plot_roc(scores: np.ndarray, positives: np.ndarray, names: Sequence[str], title: str):
    """ROC curves.

    Args:
        scores: [examples, classes].
        positives: bool [examples, classes]; one class of two is enough.
        names: [classes].
    """
    figure, ax = style.axes(title, "false positive rate", "true positive rate", size=(4.8, 4.2))
    ax.plot([0, 1], [0, 1], color=style.FAINT, linestyle="--", linewidth=1, label="chance")
    lines = _lines(roc, scores, positives)
    areas = {c: float(np.trapezoid(y, x)) for c, (x, y) in lines.items()}
    _draw(ax, lines, areas, names, "area", lambda x, y: _at(GRID, x, y))
    return figure


@style.drawn
def plot_precision_recall(
    scores: np.ndarray, positives: np.ndarray, names: Sequence[str], title: str
):
    """Precision-recall curves; arguments as of `plot_roc`."""
    figure, ax = style.axes(title, "recall", "precision", size=(4.8, 4.2))
    lines = _lines(precision_recall, scores, positives)
    areas = {c: average_precision(scores[:, c], positives[:, c]) for c in lines}
    if len(lines) == 1:
        share = float(positives.mean())
        ax.axhline(share, color=style.FAINT, linestyle="--", linewidth=1, label="chance")
    _draw(ax, lines, areas, names, "AP", lambda x, y: np.interp(GRID, x, y))
    return figure


def _lines(curve, scores, positives):
    """{class: its curve}, of the classes that have examples and are not all there is."""
    both = positives.any(0) & ~positives.all(0)
    return {int(c): curve(scores[:, c], positives[:, c]) for c in np.flatnonzero(both)}


def _draw(ax, lines, areas, names, area, on_grid):
    labels = style.legible(names)
    if len(names) <= EACH:
        # Lines of the same colour differ in their dashes.
        for i, (c, line) in enumerate(lines.items()):
            dashes = "-" if i < len(style.PALETTE) else ":"
            ax.plot(*_thin(*line), dashes, label=f"{labels[c]} ({area} {areas[c]:.3f})")
    if len(lines) > 1:
        mean = np.mean([on_grid(x, y) for x, y in lines.values()], axis=0)
        value = float(np.mean(list(areas.values())))
        label = f"mean of {len(lines):,} classes ({area} {value:.3f})"
        ax.plot(GRID, mean, color=style.INK, linewidth=2.2, label=label)
    style.unit(ax)
    ax.legend(loc="lower right" if area == "area" else "lower left", fontsize=7.5)


def _cumulative(scores, positive):
    """(true, false positives) at each threshold, from the highest score down."""
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], np.asarray(positive)[order]
    last = np.r_[np.flatnonzero(np.diff(scores)), len(scores) - 1]  # of each run of equal scores
    return np.cumsum(positive)[last].astype(float), np.cumsum(~positive)[last].astype(float)


def _at(grid, x, y):
    """The curve at `grid`: where it is vertical, its top."""
    keep = np.r_[np.diff(x) > 0, True]
    return np.interp(grid, x[keep], y[keep])


def _thin(x, y):
    """At most POINTS points, evenly along the line."""
    if len(x) <= POINTS:
        return x, y
    along = np.r_[0, np.cumsum(np.hypot(np.diff(x), np.diff(y)))]
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], POINTS)))
    kept = np.unique(np.r_[0, kept.clip(0, len(x) - 1), len(x) - 1])
    return x[kept], y[kept]
