"""Covers a random rectangle with noise (Zhong et al. 2020)."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image


class Transform:
    """Leaves the others as they are.

    Args:
        probability: of an image with such a rectangle.
        area: the least and the most of it, of the image's.
    """

    def __init__(self, probability: float = 0.25, area: Sequence[float] = (0.02, 1 / 3)):
        self.probability, self.area = probability, area

    def __call__(self, image, rng):
        if rng.random() >= self.probability:
            return image
        width, height = image.size
        size = width * height * rng.uniform(*self.area)
        ratio = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
        w = max(1, min(width, round(math.sqrt(size * ratio))))
        h = max(1, min(height, round(math.sqrt(size / ratio))))
        left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        depth = () if image.mode == "L" else (3,)
        noise = rng.integers(0, 256, (h, w, *depth), np.uint8)
        image = image.copy()
        image.paste(Image.fromarray(noise), (left, top))
        return image
