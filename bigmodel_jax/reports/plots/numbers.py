"""Predicted numbers against true ones."""

import numpy as np

from bigmodel_jax.reports.plots import style

POINTS = 2000


@style.drawn
def plot_predicted(values: np.ndarray, labels: np.ndarray, title: str):
    """Each example as a point; of many, an even sample.

    Args:
        values, labels: [examples].
    """
    shown = np.linspace(0, len(labels) - 1, min(POINTS, len(labels))).astype(int)
    more = f"\n{len(shown):,} of them shown" if len(shown) < len(labels) else ""
    figure, ax = style.axes(f"{title}{more}", "true value", "predicted value", size=(4.8, 4.2))
    low, high = min(labels.min(), values.min()), max(labels.max(), values.max())
    ax.plot([low, high], [low, high], "--", color=style.FAINT, linewidth=1, label="equal")
    ax.plot(
        labels[shown],
        values[shown],
        "o",
        markersize=3,
        alpha=0.35,
        markeredgewidth=0,
        label="an example",
    )
    ax.legend(loc="upper left")
    style.plain(ax.xaxis)
    style.plain(ax.yaxis)
    return figure


@style.drawn
def plot_residuals(values: np.ndarray, labels: np.ndarray, title: str):
    """How often the prediction is off by how much."""
    residuals = np.asarray(values, np.float64) - labels
    figure, ax = style.axes(title, "predicted - true value", "examples")
    ax.hist(residuals, bins=min(40, max(5, int(np.sqrt(len(residuals))))), color=style.PALETTE[0])
    ax.axvline(0, color=style.FAINT, linestyle="--", linewidth=1)
    mean = float(residuals.mean())
    ax.axvline(mean, color=style.PALETTE[1], linewidth=1.4, label=f"mean {mean:.4g}")
    ax.legend()
    style.plain(ax.xaxis)
    style.thousands(ax.yaxis)
    return figure
