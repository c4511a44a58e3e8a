"""Pictures of environments: lines and joints on a white ground."""

from collections.abc import Sequence

import numpy as np

SIZE = 200  # pixels on a side
Point = tuple[float, float]


def lines(
    found: Sequence[tuple[Point, Point]], joints: Sequence[Point], width: float
) -> np.ndarray:
    """A picture uint8 [SIZE, SIZE, 3] of the square from -width to width, y upwards."""
    from PIL import Image, ImageDraw

    def place(point):
        x, y = (float(v) / width for v in point)
        return SIZE * (1 + x) / 2, SIZE * (1 - y) / 2

    picture = Image.new("RGB", (SIZE, SIZE), "white")
    pen = ImageDraw.Draw(picture)
    for start, end in found:
        pen.line([place(start), place(end)], fill=(40, 40, 40), width=4)
    for x, y in map(place, joints):
        pen.ellipse([x - 6, y - 6, x + 6, y + 6], fill=(180, 60, 40))
    return np.asarray(picture)
