"""A random part of the image, brought to one size (Szegedy et al. 2015, as torchvision draws it)."""

import math
from collections.abc import Sequence

from PIL import Image

from bigmodel_jax.errors import UserError

ATTEMPTS = 10


class Transform:
    """Crops a part of random area and aspect ratio, and resizes it to `size` by `size`.

    Args:
        size: in pixels.
        scale: the least and the most of the image's area that is kept.
        ratio: the least and the most of width by height, whose logarithm is uniform.
    """

    def __init__(
        self,
        size: int,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
    ):
        if not 0 < scale[0] <= scale[1] <= 1 or not 0 < ratio[0] <= ratio[1]:
            raise UserError(
                f"random_resized_crop needs 0 < scale[0] <= scale[1] <= 1 and 0 < ratio[0] <= ratio[1],"
                f" but they are {tuple(scale)} and {tuple(ratio)}."
            )
        self.size, self.scale, self.ratio = size, scale, ratio

    def __call__(self, image, rng):
        width, height = image.size
        box = self._box(width, height, rng)
        return image.resize((self.size, self.size), Image.Resampling.BICUBIC, box=box)

    def _box(self, width, height, rng):
        for _ in range(ATTEMPTS):
            area = width * height * rng.uniform(self.scale[0], self.scale[1])
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
                return left, top, left + w, top + h
        # What is nearest to it in the middle.
        w = min(width, round(height * self.ratio[1]))
        h = min(height, round(width / self.ratio[0]))
        left, top = (width - w) // 2, (height - h) // 2
        return left, top, left + w, top + h
