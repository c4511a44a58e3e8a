"""Changes brightness, contrast, saturation and hue, in a random order (as torchvision)."""

import numpy as np
from PIL import Image, ImageEnhance

from bigmodel_jax.errors import UserError

ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}


class Transform:
    """Multiplies each of them by a factor from 1 - its strength to 1 + its strength.

    Args:
        hue: the most by which it is shifted, of a full turn; at most 0.5.
    """

    def __init__(
        self,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
    ):
        self.strengths = {
            "brightness": brightness,
            "contrast": contrast,
            "saturation": saturation,
            "hue": hue,
        }
        if not 0 <= hue <= 0.5 or min(self.strengths.values()) < 0:
            raise UserError(
                f"color_jitter takes strengths of at least 0, and a hue of at most 0.5, but they are "
                f"{self.strengths}."
            )

    def __call__(self, image, rng):
        names = [name for name, strength in self.strengths.items() if strength]
        for i in rng.permutation(len(names)):
            strength = self.strengths[names[i]]
            if names[i] == "hue":
                image = _shifted_hue(image, rng.uniform(-strength, strength))
            else:
                factor = rng.uniform(max(0.0, 1 - strength), 1 + strength)
                image = ENHANCERS[names[i]](image).enhance(factor)
        return image


def _shifted_hue(image: Image.Image, turn: float) -> Image.Image:
    if image.mode == "L":
        return image
    pixels = np.array(image.convert("HSV"))
    pixels[..., 0] += np.uint8(round(turn * 255) % 256)  # uint8 goes around by itself
    return Image.fromarray(pixels, "HSV").convert("RGB")
