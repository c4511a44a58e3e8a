"""TrivialAugment (Müller and Hutter 2021): one random operation of random strength, and no more.

Operations and ranges are those of the paper's "wide" space.
"""

from PIL import Image, ImageEnhance, ImageOps

BINS = 31  # strengths, 0 to 30


class Transform:
    """Applies one of 14 operations, drawn uniformly, at one of 31 strengths."""

    def __call__(self, image, rng):
        name = NAMES[int(rng.integers(len(NAMES)))]
        strength = int(rng.integers(BINS)) / (BINS - 1)
        sign = 1 if rng.random() < 0.5 else -1
        return OPERATIONS[name](image, strength, sign)


def _affine(image, matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


def _enhanced(image, enhancer, strength, sign):
    return enhancer(image).enhance(1 + sign * 0.99 * strength)


OPERATIONS = {
    "identity": lambda im, s, sign: im,
    "shear_x": lambda im, s, sign: _affine(im, (1, sign * 0.99 * s, 0, 0, 1, 0)),
    "shear_y": lambda im, s, sign: _affine(im, (1, 0, 0, sign * 0.99 * s, 1, 0)),
    "translate_x": lambda im, s, sign: _affine(im, (1, 0, sign * round(32 * s), 0, 1, 0)),
    "translate_y": lambda im, s, sign: _affine(im, (1, 0, 0, 0, 1, sign * round(32 * s))),
    "rotate": lambda im, s, sign: im.rotate(sign * 135 * s),
    "brightness": lambda im, s, sign: _enhanced(im, ImageEnhance.Brightness, s, sign),
    "color": lambda im, s, sign: _enhanced(im, ImageEnhance.Color, s, sign),
    "contrast": lambda im, s, sign: _enhanced(im, ImageEnhance.Contrast, s, sign),
    "sharpness": lambda im, s, sign: _enhanced(im, ImageEnhance.Sharpness, s, sign),
    "posterize": lambda im, s, sign: ImageOps.posterize(im, 8 - round(6 * s)),
    "solarize": lambda im, s, sign: ImageOps.solarize(im, round(255 * (1 - s))),
    "autocontrast": lambda im, s, sign: ImageOps.autocontrast(im),
    "equalize": lambda im, s, sign: ImageOps.equalize(im),
}
NAMES = tuple(OPERATIONS)
