"""Pictures that an evaluator painted: a file of each evaluation, plots/NAME-KEY-STEP.png."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_jax import grids, rundir

PREFIX = "picture_"  # of an evaluator's details


def pictures(details: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What of an evaluator's details is a picture, uint8 [height, width, 1 or 3]."""
    return {k.removeprefix(PREFIX): v for k, v in details.items() if k.startswith(PREFIX)}


def keep(folder: Path, step: int, name: str, details: Mapping[str, Any]) -> None:
    """Writes the pictures of an evaluation to the plots of the run in `folder`."""
    for key, picture in pictures(details).items():
        plots = folder / "plots"
        plots.mkdir(exist_ok=True)
        rundir.replace(plots / f"{name}-{key}-{step:08}.png", grids.png(picture))


def newest(folder: Path) -> dict[tuple[str, str], tuple[int, np.ndarray]]:
    """{(name of the evaluator, key): (step, picture)} of the last that `keep` wrote."""
    from PIL import Image

    found = {}
    for path in sorted((folder / "plots").glob("*.png"), key=lambda path: path.stem[-8:]):
        if parts := re.fullmatch(r"(\w+)-(\w+)-(\d{8})", path.stem):
            with Image.open(path) as image:
                pixels = np.asarray(image)
            found[parts[1], parts[2]] = int(parts[3]), pixels.reshape(*pixels.shape[:2], -1)
    return found
