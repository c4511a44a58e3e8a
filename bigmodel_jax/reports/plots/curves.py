"""How a run learned: each metric over its steps."""

from collections.abc import Mapping, Sequence

import numpy as np

from bigmodel_jax.pace import TIMED
from bigmodel_jax.reports.plots import style

POINTS = 1000  # of a line; more are averaged
PLOTS = 8
FIRST = ("loss", "accuracy", "learning_rate")
WITHOUT = ("epoch", "grad_norm", *TIMED)


def series(
    rows: Sequence[Mapping], names: Sequence[str], watched: str | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """{metric: {where: [points, 2] of (step, value)}}, of the metrics worth a plot.

    Those are what training logs but for its pace, with the evaluators' values of the same, and the
    metric that the run watched.

    Args:
        rows: of metrics.jsonl, their prefix of generated data taken off.
        names: of the evaluators that run during training.
        watched: config.early_stopping.metric, such as "val/f1".
    """
    found: dict[str, dict[str, list]] = {}
    for row in rows:
        for key, value in row.items():
            where, _, metric = key.partition("/")
            if value is not None and (where == "train" or where in names):
                found.setdefault(metric, {}).setdefault(where, []).append((row["step"], value))
    wanted = [m for m in found if "train" in found[m] and m.split("/")[-1] not in WITHOUT]
    wanted += [watched.partition("/")[2]] if watched else []
    known = [m for m in dict.fromkeys([*FIRST, *wanted]) if m in wanted and m in found]
    order = ["train", *names]
    return {
        m: {w: np.array(found[m][w], float) for w in order if w in found[m]} for m in known[:PLOTS]
    }


@style.drawn
def plot(metric: str, lines: Mapping[str, np.ndarray], steps_per_epoch: float, best: int | None):
    """One metric over the steps, with the epochs above, and the step that was chosen.

    Args:
        lines: {where: [points, 2]}.
        steps_per_epoch: 0 where it is unknown.
        best: the chosen step, marked on the evaluators' line.
    """
    label = metric.replace("_", " ")
    figure, ax = style.axes(f"{label[:1].upper()}{label[1:]}", "step", label)
    for i, (where, points) in enumerate(lines.items()):
        points = _averaged(points)
        few = len(points) <= 40
        marker = ("o" if where != "train" else ".") if few else ""
        ax.plot(*points.T, marker=marker, color=style.PALETTE[i], label=where)
    if best is not None:
        ax.axvline(best, color=style.FAINT, linestyle="--", linewidth=1)
        for i, (where, points) in enumerate(lines.items()):
            for step, value in points[points[:, 0] == best] if where != "train" else ():
                ax.plot(
                    step, value, "*", markersize=11, color=style.PALETTE[i], label=f"step {best:,}"
                )
    style.thousands(ax.xaxis)
    style.plain(ax.yaxis)
    ax.locator_params(axis="x", nbins=6)
    if metric == "learning_rate":
        ax.set_ylim(bottom=0)
    if len(lines) > 1 or best is not None:
        ax.legend()
    if steps_per_epoch:
        above = ax.secondary_xaxis(
            "top", functions=(lambda x: x / steps_per_epoch, lambda x: x * steps_per_epoch)
        )
        above.set_xlabel("epoch", fontsize=8)
        style.plain(above.xaxis)
    return figure


def _averaged(points):
    """At most POINTS of them, each the mean of its neighbours."""
    if len(points) <= POINTS:
        return points
    return np.array([part.mean(0) for part in np.array_split(points, POINTS)])
