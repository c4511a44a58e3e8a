"""The learning-rate range test: one short run whose rate rises exponentially, and how its loss moves.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3, with a rate that rises by
the same factor at each step, for what is sought lies anywhere within many powers of ten.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bigmodel_jax import rundir
from bigmodel_jax.errors import UserError
from bigmodel_jax.reports import recorded
from bigmodel_jax.reports.plots import style
from bigmodel_jax.train import train

FEWEST = 20  # losses from which something can be read
WINDOW = 0.05  # of the points, that a loss is smoothed over to both sides
DIVERGED = 2.0  # times the drop of the loss, above its start: what comes then is not looked at


class Found(NamedTuple):
    """What the test says.

    Attributes:
        rates, losses, smooth: [points]; of each dispatch the mean loss, and its mean with its neighbours'.
        steepest: the rate where the smoothed loss falls most for each factor of the rate.
        lowest: the rate where it is lowest.
    """

    rates: np.ndarray
    losses: np.ndarray
    smooth: np.ndarray
    steepest: float
    lowest: float


def perform(
    given: Mapping, workdir: Path, data_dir: str, low: float, high: float, steps: int
) -> Found:
    """Trains, looks at what was logged, writes WORKDIR/lr_range.png.

    Raises:
        UserError: bad input; too few losses before the first that is not finite.
    """
    config = ranged(given, low, high, steps)
    why = ""
    try:
        train(config, str(workdir), data_dir=data_dir)
    except UserError as error:  # a loss that is not finite ends the run, and belongs to the test
        if "not finite" not in str(error):
            raise
        why = str(error)
    rows = recorded.load(workdir).rows
    rows = [r for r in rows if {"train/loss", "train/learning_rate"} <= r.keys()]
    rates = np.array([row["train/learning_rate"] for row in rows])
    found = look(rates, np.array([row["train/loss"] for row in rows]), why)
    rundir.replace(workdir / "lr_range.png", style.png(plot(found)))
    return found


def ranged(given: Mapping, low: float, high: float, steps: int) -> dict:
    """A completed config that trains for `steps` steps, whose rate rises from `low` to `high`.

    Nothing is evaluated, and each dispatch is logged.
    """
    if not 0 < low < high:
        raise UserError(
            f"--low={low:g} and --high={high:g}: a rate rises from one above 0 to a higher."
        )
    if "name" not in given["optimizer"]:
        raise UserError(
            "A range test is of one optimizer, and config.optimizer has several, or none."
        )
    repeat = given["repeat"]
    if steps < FEWEST * repeat:
        raise UserError(
            f"--steps={steps} are {steps // repeat} dispatches of config.repeat={repeat} steps, and the "
            f"range test needs {FEWEST} losses: --steps={FEWEST * repeat}, or --config.repeat=1."
        )
    rising = {"name": "exponential", "end": high / low}
    return {
        **given,
        "optimizer": {**given["optimizer"], "lr": low, "schedule": rising},
        "duration": f"{steps - steps % repeat} steps",
        "log_every": f"{repeat} steps",
        "evals": {},
        "early_stopping": {},
        "reduce_on_plateau": {},
        "histograms": "",
    }


def look(rates: np.ndarray, losses: np.ndarray, why: str = "") -> Found:
    """Smooths the losses, and finds where they fall most and where they are lowest.

    Args:
        rates: rising, each by the same factor; losses of the same length.
        why: there are no more of them.
    """
    if len(rates) < FEWEST:
        raise UserError(
            f"The range test has {len(rates)} losses, and needs {FEWEST}: give a lower --high, or more "
            f"--steps. {why}".strip()
        )
    side = max(1, round(WINDOW * len(rates)))
    kernel = np.ones(2 * side + 1)
    smooth = np.convolve(losses, kernel, "same") / np.convolve(np.ones(len(losses)), kernel, "same")
    start = float(np.median(smooth[: 2 * side + 1]))
    far = np.flatnonzero(smooth > start + DIVERGED * max(start - smooth.min(), 1e-12))
    end = max(int(far[0]) if len(far) else len(smooth), FEWEST)
    rates, losses, smooth = rates[:end], losses[:end], smooth[:end]
    lowest = int(smooth.argmin())
    slopes = np.gradient(smooth, np.log(rates))[: lowest + 1]
    return Found(rates, losses, smooth, float(rates[slopes.argmin()]), float(rates[lowest]))


def in_words(found: Found) -> Sequence[str]:
    """What may be read from it."""
    return (
        f"The loss falls fastest at a rate of {found.steepest:.2g} and is lowest at {found.lowest:.2g}.",
        f"A peak rate to begin with: {found.lowest / 10:.2g}, a tenth of that. A short run cannot tell what a "
        "whole one, with its schedule, likes best.",
    )


@style.drawn
def plot(found: Found):
    """The loss over the rate, each dispatch a dot."""
    figure, ax = style.axes("Learning-rate range test", "learning rate", "training loss")
    ax.plot(found.rates, found.losses, ".", color=style.FAINT, markersize=3, label="each dispatch")
    ax.plot(found.rates, found.smooth, color=style.PALETTE[0], label="smoothed")
    for i, (name, rate) in enumerate(
        {"steepest": found.steepest, "lowest": found.lowest}.items(), 1
    ):
        ax.axvline(
            rate, color=style.PALETTE[i], linestyle="--", linewidth=1.2, label=f"{name}: {rate:.2g}"
        )
    ax.set_xscale("log")
    style.plain(ax.xaxis)
    room = found.smooth.max() - found.smooth.min() or 1.0
    ax.set_ylim(found.smooth.min() - 0.15 * room, found.smooth.max() + 0.15 * room)
    figure.legend(loc="outside lower center", ncols=2)
    return figure
