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
    images = images[:MOST]
    columns = min(COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    # One picture of all in one pair of axes: matplotlib takes half a minute for a hundred of them.
    height, width = images.shape[1:3]
    above, beside = math.ceil(0.3 * height), math.ceil(0.06 * width)
    sheet = np.zeros((rows * (above + height), columns * (width + 2 * beside), 4), np.uint8)
    figure, ax = style.axes("", size=(0.9 * columns + 0.2, 1.1 * rows + 0.4))
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    ax.set_axis_off()
    for i, (image, caption) in enumerate(zip(images, captions, strict=False)):
        row, column = divmod(i, columns)
        top, left = row * (above + height) + above, column * (width + 2 * beside) + beside
        sheet[top : top + height, left : left + width, :3] = image
        sheet[top : top + height, left : left + width, 3] = 255
        ax.text(left + width / 2, top - 1, caption, size=6, ha="center", va="bottom")
    ax.imshow(sheet)
    return figure


@style.drawn
def whole(picture: np.ndarray, title: str) -> Any:
    """A figure of one picture, uint8 [height, width, 1 or 3]."""
    figure, ax = style.axes(title, size=(4.8, 0.4 + 4.6 * picture.shape[0] / picture.shape[1]))
    ax.set_axis_off()
    pixels = picture[..., 0] if picture.shape[-1] == 1 else picture
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    return figure
