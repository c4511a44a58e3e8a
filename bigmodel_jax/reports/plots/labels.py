"""How well each of several labels is found."""

from collections.abc import Sequence

import numpy as np

from bigmodel_jax.evals.multilabel_metrics import average_precision
from bigmodel_jax.reports.plots import style

SHOWN = 30


@style.drawn
def plot_average_precision(
    scores: np.ndarray, positives: np.ndarray, names: Sequence[str], title: str
):
    """The average precision of each label, best first; of many labels, the most frequent.

    Args:
        scores: [examples, labels].
        positives: bool [examples, labels].
    """
    areas = {
        int(c): average_precision(scores[:, c], positives[:, c])
        for c in np.flatnonzero(positives.any(0))
    }
    counts, labels = positives.sum(0), style.legible(names)
    kept = sorted(areas, key=lambda c: -counts[c])[:SHOWN]
    kept.sort(key=lambda c: areas[c])
    more = (
        f"\nthe {len(kept)} most frequent of {len(names):,} labels"
        if len(kept) < len(areas)
        else ""
    )
    size = (4.8, max(2.4, 0.24 * len(kept) + 1.2))
    figure, ax = style.axes(f"{title}{more}", "average precision", size=size)
    ax.barh(range(len(kept)), [areas[c] for c in kept], color=style.PALETTE[0], height=0.7)
    for i, c in enumerate(kept):
        ax.text(1.03, i, f"{areas[c]:.3f} (n = {counts[c]:,})", va="center", size=7)
    mean = float(np.mean(list(areas.values())))
    ax.axvline(mean, color=style.PALETTE[1], linewidth=1.2, label=f"mean {mean:.3f}")
    ax.set_yticks(range(len(kept)), [labels[c] for c in kept])
    ax.set(xlim=(0, 1.38), xticks=np.linspace(0, 1, 6))
    ax.grid(visible=False, axis="y")
    figure.legend(loc="outside lower center")
    return figure
