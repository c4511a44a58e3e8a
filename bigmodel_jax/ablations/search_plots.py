"""Figures of a search: how it went, where good trials lie, which keys matter."""

from collections.abc import Mapping, Sequence

import numpy as np

from bigmodel_jax.ablations.spaces import Axis
from bigmodel_jax.reports.plots import style

WORST, BEST, FOUND = style.FAINT, style.PALETTE[0], style.PALETTE[1]


@style.drawn
def history(values: Mapping[int, float], pruned: Mapping[int, float], metric: str, lower: bool):
    """The value of each trial by its number, and the best until then.

    Args:
        values, pruned: by number, of those that finished and of those that were ended; of these what
            they had reached.
    """
    figure, ax = style.axes(f"{metric} of each trial", "trial", metric)
    numbers = sorted(values)
    found = np.array([values[n] for n in numbers])
    best = np.minimum.accumulate(found) if lower else np.maximum.accumulate(found)
    ax.step(numbers, best, where="post", color=FOUND, label="the best so far")
    ax.plot(numbers, found, "o", color=BEST, label="finished")
    if pruned:
        ax.plot(list(pruned), list(pruned.values()), "x", color=style.FAINT, label="ended early")
    ax.locator_params(axis="x", integer=True)
    style.plain(ax.yaxis)
    figure.legend(loc="outside right upper")
    return figure


@style.drawn
def parallel(
    axes: Sequence[Axis],
    points: Sequence[Mapping],
    values: Sequence[float],
    metric: str,
    lower: bool,
):
    """A line a trial through what it had of each key, the bluer the more it reached; the best on top.

    Args:
        points: of each trial, by key, as Optuna gave it.
    """
    from matplotlib.colors import LinearSegmentedColormap

    figure, ax = style.axes(
        f"What the trials had, and their {metric}", size=(max(6.4, 1.7 * len(axes) + 2.4), 3.6)
    )
    low, high = min(values), max(values)
    heights = [[_height(axis, point[axis.key]) for axis in axes] for point in points]
    scaled = [(value - low) / ((high - low) or 1.0) for value in values]
    colours = LinearSegmentedColormap.from_list("reached", [WORST, BEST])
    order = np.argsort([-v if lower else v for v in values], kind="stable")
    for i in order:
        goodness, best = 1 - scaled[i] if lower else scaled[i], i == order[-1]
        ax.plot(
            range(len(axes) + 1),
            [*heights[i], scaled[i]],
            color=FOUND if best else colours(goodness),
            alpha=1 if best else 0.3 + 0.6 * goodness,
            linewidth=2.4 if best else 1.2,
        )
    for x, axis in enumerate(axes):
        _ticks(ax, x, _marks(axis))
    _ticks(ax, len(axes), [(share, f"{low + share * (high - low):.4g}") for share in (0, 0.5, 1)])
    names = [axis.key.replace("optimizer.", "").replace("model.", "") for axis in axes]
    ax.set_xticks(range(len(axes) + 1), [*names, metric])
    ax.set(xlim=(-0.45, len(axes) + 0.25), ylim=(-0.05, 1.05), yticks=[])
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(length=0)
    return figure


@style.drawn
def importance(shares: Mapping[str, float]):
    """Bars, the most important on top."""
    names = sorted(shares, key=lambda key: -shares[key])
    figure, ax = style.axes("Share of importance", size=(6.4, 1.0 + 0.34 * len(names)))
    ax.barh(range(len(names)), [shares[n] for n in names], height=0.6, color=style.PALETTE[0])
    ax.set_yticks(range(len(names)), names)
    ax.set(xlim=(0, 1), ylim=(len(names) - 0.4, -0.6))
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    return figure


def _height(axis: Axis, found) -> float:
    if axis.choices:
        return axis.choices.index(found) / (len(axis.choices) - 1)
    low, high, value = axis.low, axis.high, float(found)
    if axis.log:
        low, high, value = np.log([low, high, value])
    return float((value - low) / (high - low))


def _marks(axis: Axis) -> list[tuple[float, str]]:
    if axis.choices:
        return [(_height(axis, choice), choice) for choice in axis.choices]
    middle = np.sqrt(axis.low * axis.high) if axis.log else (axis.low + axis.high) / 2
    return [(_height(axis, mark), f"{mark:.3g}") for mark in (axis.low, middle, axis.high)]


def _ticks(ax, x: int, marks: Sequence[tuple[float, str]]) -> None:
    ax.plot([x, x], [0, 1], color=style.FAINT, linewidth=1, zorder=0)
    for height, text in marks:
        ax.plot([x - 0.02, x], [height, height], color=style.INK, linewidth=0.8)
        ax.text(x - 0.04, height, text, ha="right", va="center", size=7.5)
