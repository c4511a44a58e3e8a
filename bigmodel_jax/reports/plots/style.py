"""One look for all figures: size, colours, letters; a figure as PNG, as SVG and as pixels.

Figures are objects of their own (`matplotlib.figure.Figure`): no window, no pyplot, no state that a
user's own plots would meet.
"""

import contextlib
import functools
import io
import logging
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

# Okabe and Ito's colours, which those who see red and green alike can tell apart; without the
# yellow, which is lost on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8A6FBF", "#777777")
INK = "#1b1d21"  # letters and axes; in SVG whatever colour the page's text has
FAINT = "#8a8f98"  # readable on white and on black
SHOWN = 24  # letters of a class's name

LOOK: dict[Any, Any] = {
    "figure.figsize": (4.8, 3.4),
    "figure.dpi": 150,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "text.parse_math": False,  # a class may be called "$"
    "svg.fonttype": "none",
    **{k: INK for k in ("text.color", "axes.labelcolor", "axes.edgecolor")},
    **{k: INK for k in ("xtick.color", "ytick.color")},
}


# It would say of each of its fonts how it fits, where all logs are shown (--debug).
logging.getLogger("matplotlib.font_manager").setLevel(logging.WARNING)


@contextlib.contextmanager
def look() -> Iterator[None]:
    """matplotlib with our settings and nobody else's, as long as it lasts."""
    import matplotlib
    from cycler import cycler

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for key, value in LOOK.items():
            matplotlib.rcParams[key] = value
        matplotlib.rcParams["axes.prop_cycle"] = cycler(color=PALETTE)
        yield


def drawn(plot: Callable) -> Callable:
    """A function that draws, in our look."""

    @functools.wraps(plot)
    def draw(*args, **options):
        with look():
            return plot(*args, **options)

    return draw


def axes(title: str, xlabel: str = "", ylabel: str = "", size=None) -> tuple[Any, Any]:
    """(figure, axes)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    ax = figure.add_subplot()
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return figure, ax


def unit(ax, both: bool = True) -> None:
    """Axes of shares, 0 to 1."""
    ticks = np.linspace(0, 1, 6)
    ax.set(ylim=(-0.02, 1.02), yticks=ticks)
    if both:
        ax.set(xlim=(-0.02, 1.02), xticks=ticks)


def thousands(axis) -> None:
    """Ticks such as 25,000."""
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def plain(axis) -> None:
    """Ticks such as 0.003, never 3 with a factor somewhere else."""
    axis.set_major_formatter(lambda value, _: f"{value:.6g}")


@drawn
def png(figure) -> bytes:
    """The figure as a PNG file, on white."""
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white", metadata={"Software": None})
    figure.set_layout_engine("none")  # what is found stays: it is the costly part of a second form
    return file.getvalue()


@drawn
def svg(figure, name: str, alt: str) -> str:
    """The figure as an <svg> element for a page: without a ground, its letters those of the page.

    Args:
        name: tells its inner references from those of the page's other figures.
        alt: what it shows, for those who cannot see it.
    """
    import html

    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = name
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(
        r"'DejaVu Sans'[^;\"]*sans-serif", "'DejaVu Sans', Verdana, system-ui, sans-serif", text
    )
    text = re.sub(r' id="(?![pm][0-9a-f]{10})[^"]*"', "", text)  # only clips and markers are used
    text = text.replace(INK, "currentColor")
    kind = ' class="wide"' if figure.get_figwidth() > 6 else ""
    most = f"max-width:{7 * figure.get_figwidth():.4g}rem"  # so that letters are of one size
    label = f'{kind} style="{most}" role="img" aria-label="{html.escape(alt)}"'
    return text.replace("<svg", f"<svg{label}", 1)


@drawn
def pixels(figure) -> np.ndarray:
    """The figure as uint8 [height, width, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_facecolor("white")
    figure.set_dpi(100)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def legible(names: Sequence[str]) -> list[str]:
    """Names as a figure can write them.

    A long one loses its middle. Where the font lacks the letters of one (it has no Chinese), or two
    would look alike, all are written as their indices.
    """
    short = [_short(" ".join(str(name).split())) for name in names]
    known = _letters()
    fine = all(set(map(ord, n)) <= known and not _rightward(n) for n in short)
    return short if fine and len(set(short)) == len(names) else [str(i) for i in range(len(names))]


def _short(name):
    return name if len(name) <= SHOWN else f"{name[: SHOWN // 2 - 1]}…{name[-SHOWN // 2 :]}"


def _rightward(name):
    return any(unicodedata.bidirectional(c) in ("R", "AL") for c in name)


@functools.cache
def _letters() -> frozenset[int]:
    """What the font that comes with matplotlib can write."""
    from matplotlib import font_manager, ft2font

    font = font_manager.findfont("DejaVu Sans", fallback_to_default=True)
    return frozenset(ft2font.FT2Font(font).get_charmap())
