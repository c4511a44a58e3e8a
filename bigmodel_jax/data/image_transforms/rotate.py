"""Turns an image about its middle."""

from PIL import Image


class Transform:
    """Args: degrees: the most, to either side; what comes in from outside is black."""

    def __init__(self, degrees: float):
        self.degrees = degrees

    def __call__(self, image, rng):
        return image.rotate(rng.uniform(-self.degrees, self.degrees), Image.Resampling.BILINEAR)
