"""Mirrors some images, left to right."""

from PIL import Image


class Transform:
    """Leaves the others as they are.

    Args:
        probability: of a mirrored image.
    """

    def __init__(self, probability: float = 0.5):
        self.probability = probability

    def __call__(self, image, rng):
        if rng.random() < self.probability:
            return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image
