"""Pictures of what a generative model paints: a grid of samples, and ways from one to another."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax import grids
from bigmodel_jax.generation.painting import Painter

COLUMNS = 10
ROWS = 8  # of a grid without classes


class Evaluator:
    """ "picture_samples", a row for each class (up to 10), and "picture_interpolations" in `details`.

    "spread" is the standard deviation of a pixel, 0 to 1, over samples of one row, on the average: near 0
    the same is painted whatever the noise. What is drawn is the same at every evaluation, so that pictures can be compared. An interpolation
    goes from one noise to another on the arc between them, which keeps to where noise lies (White 2016).

    Args:
        seed: of what is drawn.
    """

    def __init__(self, *, task: Any, open_source: Callable, mesh: jax.sharding.Mesh, seed: int = 0):
        self._task, self._seed, self._painter = task, seed, Painter(task, mesh)
        self.details: dict[str, Any] = {}

    def run(self, variables: Mapping) -> dict[str, float]:
        """{"spread"}; the pictures are in `details`."""
        classes = min(COLUMNS, self._task.num_classes) if self._task.conditional else 0
        labels = np.repeat(np.arange(classes or ROWS), COLUMNS).astype(np.int32)
        shape = (2, classes or ROWS, *self._task.noise_shape)
        noise = np.asarray(jax.random.normal(jax.random.key(self._seed), shape))
        shares = np.linspace(0, 1, COLUMNS)
        ways = np.stack([arc(a, b, s) for a, b in zip(*noise, strict=True) for s in shares])
        drawn = self._painter.sample(variables, labels, self._seed)
        between = self._painter.paint(variables, ways, labels)
        self.details = {
            "picture_samples": grids.grid(drawn, COLUMNS),
            "picture_interpolations": grids.grid(between, COLUMNS),
        }
        spread = drawn.reshape(-1, COLUMNS, *drawn.shape[1:]).std(1).mean() / 255
        return {"spread": float(spread)}


def arc(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """What lies at a share of the way from one vector to another, on the arc between their directions."""
    cosine = np.vdot(first, second) / (np.linalg.norm(first) * np.linalg.norm(second))
    angle = np.arccos(np.clip(cosine, -1, 1))
    mixed = np.sin((1 - share) * angle) * first + np.sin(share * angle) * second
    return (mixed / np.sin(angle)).astype(np.float32)
