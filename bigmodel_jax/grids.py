"""Many small images as one picture."""

import io
import math

import numpy as np

GAP = 2  # pixels between images
GROUND = 128


def in_bytes(images: np.ndarray) -> np.ndarray:
    """Pixels of 0 to 1 as uint8; what lies beyond is cut."""
    return (np.clip(images, 0, 1) * 255 + 0.5).astype(np.uint8)


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Row by row, uint8 `[height, width, channels]`; places that are left over are gray.

    Args:
        images: uint8 `[images, height, width, channels]`.
    """
    count, height, width, channels = images.shape
    rows = math.ceil(count / columns)
    places = np.full((rows * columns, height, width, channels), GROUND, np.uint8)
    places[:count] = images
    edges = ((0, 0), (GAP, 0), (GAP, 0), (0, 0))
    places = np.pad(places, edges, constant_values=GROUND)
    lines = places.reshape(rows, columns, height + GAP, width + GAP, channels).swapaxes(1, 2)
    whole = lines.reshape(rows * (height + GAP), columns * (width + GAP), channels)
    return np.pad(whole, ((0, GAP), (0, GAP), (0, 0)), constant_values=GROUND)


def png(picture: np.ndarray, scale: int = 1) -> bytes:
    """A PNG file of uint8 `[height, width, 1 or 3]`, each pixel `scale` times as large."""
    from PIL import Image

    picture = picture.repeat(scale, 0).repeat(scale, 1)
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "png")
    return file.getvalue()
