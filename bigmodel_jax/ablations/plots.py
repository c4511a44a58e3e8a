"""Figures of several runs: what each variant measures, and how it learnt."""

from collections.abc import Mapping, Sequence

import numpy as np

from bigmodel_jax.ablations import statistics
from bigmodel_jax.reports.plots import style

MOST = len(style.PALETTE)  # variants whose curves one figure can tell apart


@style.drawn
def estimates(
    values: Mapping[str, Sequence[float]],
    metric: str,
    repeats: statistics.Repeats = statistics.SEEDS,
):
    """Each run as a dot, the mean of a variant with its interval, variants below each other.

    Args:
        values: by variant, in the order to be shown.
    """
    names = style.legible(list(values))
    figure, ax = style.axes(metric, size=(6.4, 1.1 + 0.42 * len(names)))
    for row, found in enumerate(values.values()):
        colour = style.PALETTE[row % MOST]
        ax.plot(found, [row + 0.18] * len(found), "o", color=colour, alpha=0.45, markeredgewidth=0)
        summary = statistics.summarise(found, repeats)
        if summary.low is not None:
            ax.plot([summary.low, summary.high], [row, row], color=colour, linewidth=2.4, alpha=0.8)
        ax.plot(summary.mean, row, "D", color=colour, markersize=6)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    style.plain(ax.xaxis)
    ax.locator_params(axis="x", nbins=6)
    return figure


@style.drawn
def bands(lines: Mapping[str, Sequence[np.ndarray]], metric: str):
    """The mean over a variant's seeds against the step, in a band from the lowest to the highest.

    Args:
        lines: by variant, for each seed [points, 2] of step and value; of the first MOST variants.
            What not all seeds have reached, after an early stop, is not shown.
    """
    shown = list(lines.items())[:MOST]
    more = f", {len(shown)} of {len(lines)} variants" if len(lines) > len(shown) else ""
    figure, ax = style.axes(f"{metric}{more}", "step", size=(5.4, 3.4))
    labels = style.legible(list(lines))
    for i, (_, seeds) in enumerate(shown):
        steps = sorted(set.intersection(*(set(points[:, 0]) for points in seeds)))
        values = np.array([[dict(points)[step] for step in steps] for points in seeds])
        marker = "o" if len(steps) <= 40 else ""
        ax.plot(steps, values.mean(0), marker=marker, color=style.PALETTE[i], label=labels[i])
        if len(seeds) > 1:
            ax.fill_between(
                steps, values.min(0), values.max(0), color=style.PALETTE[i], alpha=0.2, linewidth=0
            )
    style.thousands(ax.xaxis)
    style.plain(ax.yaxis)
    ax.locator_params(axis="x", nbins=6)
    figure.legend(
        loc="outside right upper"
    )  # beside the curves: it may be as long as they are high
    return figure
