"""Turns an image about its middle."""

from PIL import Image


class Transform:
    """What comes in from outside is black.

    Args:
        degrees: the most, to either side.
    """

    def __init__(self, degrees: float):
        self.degrees = degrees

    def __call__(self, image, rng):
        return image.rotate(rng.uniform(-self.degrees, self.degrees), Image.Resampling.BILINEAR)
