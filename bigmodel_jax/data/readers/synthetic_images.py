"""Generated images in which shapes are to be told apart, whatever their place, size and colour; not real data.

For quick starts and tests. An image shows one shape on a plain ground, with noise: the label is the
shape's name. Place, size and both colours say nothing of it.
"""

import math

import numpy as np

from bigmodel_jax.data.generated import Generated, Random
from bigmodel_jax.errors import UserError

VERSION = 1  # to be raised when any image changes: it is part of the fingerprint
# Which points belong to a shape, of coordinates from its middle, -1 to 1.
SHAPES = {
    "cross": lambda x, y: (np.abs(x) < 0.3) | (np.abs(y) < 0.3),
    "disc": lambda x, y: x * x + y * y < 1,
    "ring": lambda x, y: (x * x + y * y < 1) & (x * x + y * y > 0.4),
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) < 1,
    "triangle": lambda x, y: (y < 0.8) & (y > 2 * np.abs(x) - 1),
}


class Reader(Generated):
    """Images with a train and a test split, of five classes.

    Args:
        train_size, test_size: images in each.
        size: height and width, in pixels.
        channels: 1 or 3.
        seed: of everything; image i of a split is a function of (seed, split, i) alone.
        noise: the most that is added to a pixel, of 255.
    """

    name = "synthetic_images"
    label_names = tuple(SHAPES)

    def __init__(
        self,
        train_size: int = 5_000,
        test_size: int = 1_000,
        size: int = 32,
        channels: int = 3,
        seed: int = 0,
        noise: int = 24,
        data_dir: str | None = None,
    ):
        del data_dir  # for prepared data sets
        if train_size < 1 or test_size < 1 or size < 8 or channels not in (1, 3):
            raise UserError(
                f"synthetic_images needs sizes of at least 1 (here {train_size} and {test_size}), a size "
                f"of at least 8 pixels (here {size}), and 1 or 3 channels (here {channels})."
            )
        sizes = {"train": train_size, "test": test_size}
        super().__init__(VERSION, sizes, seed, size, channels, noise)
        self._size, self._channels, self._noise = size, channels, noise

    def example(self, rng: Random) -> dict:
        """{"image": uint8 [size, size, channels], "label": int}."""
        label, size = rng.below(len(SHAPES)), self._size
        radius = size * (0.2 + 0.2 * rng.chance(0.5) + 0.05 * rng.below(2))
        x0, y0 = (radius + (size - 2 * radius) * rng.below(1000) / 1000 for _ in "xy")
        y, x = np.mgrid[:size, :size] + 0.5
        inside = SHAPES[self.label_names[label]]((x - x0) / radius, (y - y0) / radius)
        within = np.maximum(np.abs(x - x0), np.abs(y - y0)) < radius
        ground = [rng.below(256) for _ in range(self._channels)]
        # Half the scale away in every channel: seen on any ground.
        colour = [(g + 96 + rng.below(64)) % 256 for g in ground]
        image = np.where((inside & within)[..., None], colour, ground)
        image = image + self._speckles(rng, image.shape)
        return {"image": np.clip(image, 0, 255).astype(np.uint8), "label": label}

    def _speckles(self, rng: Random, shape) -> np.ndarray:
        """Noise of a fixed table, read from a random place on: RandomState's streams are frozen."""
        count = math.prod(shape)
        table = np.random.RandomState(VERSION).randint(-self._noise, self._noise + 1, 4 * count)
        return np.roll(table, rng.below(len(table)))[:count].reshape(shape)

    def place(self, split: str, i: int) -> str:
        """What to call an image in a message."""
        return f"{self.name}: image {i} of {split}"
