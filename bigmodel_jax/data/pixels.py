"""From an image file's content to pixels: whatever its kind, 8 bits in gray or in three colours."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bigmodel_jax.errors import UserError

MODES = {1: "L", 3: "RGB"}


class Unreadable(Exception):
    """The content is no image, or a damaged one."""


def decode(content: bytes | np.ndarray | Unreadable, channels: int) -> Image.Image:
    """The image, turned as its EXIF orientation says, of mode L or RGB.

    Palettes, CMYK and the like are converted; transparency is left out; of 16 bits the upper 8 are
    kept, and floats are taken to lie in 0 to 1.

    Args:
        content: of a file; or uint8 `[H, W]`, `[H, W, 1]` or `[H, W, 3]`; or why there is none.

    Raises:
        Unreadable: with the reason.
    """
    if isinstance(content, Unreadable):
        raise content
    if isinstance(content, np.ndarray):
        image = Image.fromarray(content[..., 0] if content.shape[2:] == (1,) else content)
        return image.convert(MODES[channels])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content))
            image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode in ("I", "F") or image.mode.startswith("I;"):
            image = _of_8_bits(image)
        if image.mode == "P" and "transparency" in image.info:  # PIL would warn of each
            image = image.convert("RGBA")
        return image.convert(MODES[channels])
    except UnidentifiedImageError as error:
        why = "is no image, or of an unknown kind" if content else "is empty"
        raise Unreadable(f"the file {why}") from error
    except Exception as error:  # a decoder of damaged bytes raises nearly anything
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def _of_8_bits(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    if image.mode == "F":
        return Image.fromarray(np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8))
    return Image.fromarray((np.clip(pixels, 0, 65_535).astype(np.uint32) >> 8).astype(np.uint8))


def to_array(image: Image.Image) -> np.ndarray:
    """uint8 `[H, W, channels]`."""
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def check_channels(channels: int) -> None:
    """Raises a UserError for anything but gray and three colours."""
    if channels not in MODES:
        raise UserError(f"config.data.channels is {channels}, but it is 1 (gray) or 3 (RGB).")


def fit(image: Image.Image, size: int, crop: float = 1.0) -> Image.Image:
    """The middle of an image, `size` by `size`: its shorter side is brought to `size / crop` first."""
    shorter = round(size / crop)
    width, height = image.size
    if min(width, height) != shorter:
        scale = shorter / min(width, height)
        width, height = max(shorter, round(width * scale)), max(shorter, round(height * scale))
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    if (width, height) == (size, size):
        return image
    return image.crop((left, top, left + size, top + size))
