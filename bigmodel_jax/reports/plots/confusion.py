"""Which class is taken for which."""

from collections.abc import Sequence

import numpy as np

from bigmodel_jax.reports.plots import style

SHOWN = 20  # classes


@style.drawn
def plot(confusion: np.ndarray, names: Sequence[str], title: str):
    """Counts [label, predicted], coloured by their share of the label; the SHOWN most frequent."""
    confusion = np.asarray(confusion)
    every, labels = len(names), style.legible(names)
    kept = np.sort(np.argsort(-confusion.sum(1), kind="stable")[:SHOWN])
    shares = confusion[np.ix_(kept, kept)] / np.maximum(confusion.sum(1)[kept], 1)[:, None]
    confusion, labels = confusion[np.ix_(kept, kept)], [labels[i] for i in kept]
    count = len(kept)
    n = f"{title}\nthe {count} most frequent of {every:,} classes" if count < every else title
    side = max(3.4, (0.6 if count <= 6 else 0.36) * count + 1.4)
    figure, ax = style.axes(n, "predicted", "label", size=(side + 0.4, side))
    ax.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
    ax.set(xlim=(0, count), ylim=(count, 0), aspect="equal")
    ticks = np.arange(count) + 0.5
    wide = count > 3 and max(map(len, labels)) > 3
    ax.set_xticks(ticks, labels, rotation=45 if wide else 0, ha="right" if wide else "center")
    if wide:
        for label in ax.get_xticklabels():
            label.set_rotation_mode("anchor")
    ax.set_yticks(ticks, labels)
    ax.grid(visible=False)
    ax.tick_params(length=0)
    digits = len(str(confusion.max(initial=0)))
    size = (9 if count <= 3 else 8) if count <= 6 else min(8, 26 / max(digits, 3))
    for (row, column), value in np.ndenumerate(confusion):
        if value or count <= 6:
            share = shares[row, column]
            text = f"{value:,}\n{100 * share:.1f}%" if count <= 6 else f"{value}"
            colour = "white" if share > 0.55 else "#1b1d20"  # on the cell, in light and in dark
            ax.text(
                column + 0.5, row + 0.5, text, ha="center", va="center", size=size, color=colour
            )
    return figure


def most_confused(confusion: np.ndarray, count: int = 10) -> list[tuple[int, int, int, float]]:
    """(label, predicted, how often, share of the label) of the most frequent mistakes."""
    wrong = np.array(confusion)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    sums = np.asarray(confusion).sum(1)
    return [
        (int(a), int(b), int(wrong[a, b]), wrong[a, b] / sums[a]) for a, b in pairs if wrong[a, b]
    ]
