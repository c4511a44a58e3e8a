"""A random part of the image with a margin around it: shifts by a few pixels."""

from PIL import Image


class Transform:
    """Shifts an image by at most `pad` pixels to each side.

    Args:
        pad: the margin, in pixels, black.
    """

    def __init__(self, pad: int):
        self.pad = pad

    def __call__(self, image, rng):
        left, top = (int(rng.integers(2 * self.pad + 1)) - self.pad for _ in "xy")
        shifted = Image.new(image.mode, image.size)
        shifted.paste(image, (-left, -top))
        return shifted
