"""An explanation of an image, and how it is drawn: colours over the picture, as PNG files."""

import base64
import io
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image

from bigmodel_jax.explanations.gradients import Attribution

# Those of the page, for and against; where a model looked, whatever for, has a third.
BLUE, ORANGE, PURPLE = (51, 136, 221), (240, 140, 30), (130, 60, 170)
FULL = 99  # per cent of the pixels have less than the full colour: of a map of pixels a few are extreme


class PictureExplanation(NamedTuple):
    """Why a label, pixel by pixel.

    Attributes:
        name: of the label, or of the number.
        what: is explained: "log-odds of cat".
        image: what the model saw, uint8 [height, width, 1 or 3].
        attribution: what each pixel adds to that.
        grad_cam, rollout: of a model that has them, see maps.py, float32 [rows, columns].
        occlusion: what it loses without a pixel's patch, see occlusion.py; if asked for.
    """

    name: str
    what: str
    image: np.ndarray
    attribution: Attribution
    grad_cam: np.ndarray | None = None
    rollout: np.ndarray | None = None
    occlusion: np.ndarray | None = None


def drawn(found: PictureExplanation) -> Mapping[str, np.ndarray]:
    """{what it is: uint8 [height, width, 3]}: the picture, and each map over a pale one."""
    height, width, _ = found.image.shape
    values = found.attribution.values
    full = np.percentile(np.abs(values), FULL) or np.abs(values).max() or 1.0
    shown = {
        "what the model saw": in_colour(found.image),
        "what each pixel adds": over(found.image, values / full),
    }
    if found.occlusion is not None:
        top = np.abs(found.occlusion).max() or 1.0
        shown["what it loses without a patch"] = over(found.image, found.occlusion / top)
    if found.grad_cam is not None:
        top = found.grad_cam.max() or 1.0
        shown["Grad-CAM"] = over(found.image, resized(found.grad_cam / top, height, width))
    if found.rollout is not None:
        low, high = found.rollout.min(), found.rollout.max()
        share = (found.rollout - low) / ((high - low) or 1.0)
        shown["attention rollout"] = over(found.image, resized(share, height, width), PURPLE)
    return shown


def in_colour(image: np.ndarray) -> np.ndarray:
    """A picture with 1 or 3 channels, with 3."""
    return np.broadcast_to(image, (*image.shape[:2], 3))


def over(
    image: np.ndarray, strength: np.ndarray, colour: tuple[int, int, int] = BLUE
) -> np.ndarray:
    """Colours over the picture in pale gray, uint8 [height, width, 3].

    Args:
        image: uint8 [height, width, 1 or 3].
        strength: [height, width], 1 is all `colour`, 0 none, -1 all orange; more counts as 1.
    """
    gray = 160 + image.mean(-1, keepdims=True) * 95 / 255
    share = np.clip(np.abs(strength), 0, 1)[..., None]
    ink = np.where(strength[..., None] > 0, colour, ORANGE)
    return ((1 - share) * gray + share * ink).round().astype(np.uint8)


def resized(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map brought to another height and width, smoothly."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def data_uri(pixels: np.ndarray) -> str:
    """A PNG file of uint8 [height, width, 3] as the address of an image in a page."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
