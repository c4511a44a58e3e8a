"""Whether long texts are harder than short ones."""

import numpy as np

from bigmodel_jax.evals.slices import tenths
from bigmodel_jax.reports.plots import style

Z = 1.959964  # of a 95% interval


def wilson(errors: int, count: int) -> tuple[float, float]:
    """The 95% interval of a rate (Wilson 1927), which holds for few errors as well."""
    rate, spread = errors / count, Z**2 / count
    middle = (rate + spread / 2) / (1 + spread)
    half = Z * np.sqrt(rate * (1 - rate) / count + spread / (4 * count)) / (1 + spread)
    # At rates of 0 and 1 one end is the rate itself, but for rounding.
    return max(0.0, min(rate, middle - half)), min(1.0, max(rate, middle + half))


@style.drawn
def plot(lengths: np.ndarray, errors: np.ndarray, title: str):
    """The error of each tenth of the examples by length, with its 95% interval.

    Args:
        lengths: [examples], in tokens that the model saw.
        errors: [examples]; bool counts as a rate, anything else is averaged.
    """
    rate = errors.dtype == bool
    figure, ax = style.axes(
        title, "length (tokens the model saw)", "error rate (%)" if rate else "mean absolute error"
    )
    parts, scale, top = tenths(lengths), 100 if rate else 1, 0.0
    blue = style.PALETTE[0]
    for i, part in enumerate(parts):
        mean = float(errors[part].mean())
        if rate:
            low, high = wilson(int(errors[part].sum()), len(part))
        else:
            half = Z * float(errors[part].std()) / np.sqrt(len(part))
            low, high = mean - half, mean + half
        low, mean, high = scale * low, scale * mean, scale * high
        label = "mean, 95% interval, number of examples" if i == 0 else None
        ax.errorbar(i, mean, [[mean - low], [high - mean]], fmt="o", color=blue, label=label)
        ax.text(i, high, f"{len(part):,}\n", ha="center", va="center", size=6.5)
        top = max(top, high)
    total = scale * float(errors.mean())
    ax.axhline(total, color=style.FAINT, linestyle="--", linewidth=1, label=f"all: {total:.3g}")
    ends = [(lengths[part].min(), lengths[part].max()) for part in parts]
    labels = [f"{a:,}" if a == b else f"{a:,}–{b:,}" for a, b in ends]
    ax.set_xticks(range(len(parts)), labels, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_ylim(0, 1.35 * top if top else 1)
    ax.legend(loc="upper left", ncols=2)
    ax.grid(visible=False, axis="x")
    return figure
