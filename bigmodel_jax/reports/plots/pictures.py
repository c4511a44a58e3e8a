"""Images in a grid: what a network sees, and what it mistook."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bigmodel_jax.reports.plots import style

COLUMNS = 8
MOST = 32


@style.drawn
def plot(images: np.ndarray, captions: Sequence[str], title: str) -> Any:
    """A figure of up to MOST images with a caption each.

    Args:
        images: uint8 [images, height, width, 1 or 3].
    """
    from matplotlib.figure import Figure

    images = images[:MOST]
    columns = min(COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(0.9 * columns + 0.2, 1.1 * rows + 0.4))
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    for i, ax in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        ax.set_axis_off()
        if i < len(images):
            gray = images.shape[-1] == 1
            pixels = images[i][..., 0] if gray else images[i]
            ax.imshow(pixels, cmap="gray" if gray else None, vmin=0, vmax=255)
            ax.set_title(captions[i], loc="center", fontsize=6, fontweight="normal", pad=2)
    return figure


@style.drawn
def whole(picture: np.ndarray, title: str) -> Any:
    """A figure of one picture, uint8 [height, width, 1 or 3]."""
    figure, ax = style.axes(title, size=(4.8, 0.4 + 4.6 * picture.shape[0] / picture.shape[1]))
    ax.set_axis_off()
    pixels = picture[..., 0] if picture.shape[-1] == 1 else picture
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    return figure
