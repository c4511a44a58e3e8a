"""What a run knows of the environment in JAX that it acts in; its batches are made inside the step."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bigmodel_jax import environments
from bigmodel_jax.config import build


class Source:
    """Batches without a single array; an "example" is a step in one environment.

    Args:
        environment: one of environments/, dict(name="cartpole").
        number: of environments side by side.
        length: steps in each between two updates.
    """

    reader_name = None

    def __init__(
        self,
        *,
        environment: Mapping,
        number: int = 8,
        length: int = 128,
        seed: int = 0,
        group: int = 1,
        data_dir: str = "",
        process: tuple[int, int] = (0, 1),
        split: str = "",
        training: bool = True,
    ):
        world = environments.checked(environment)
        self.batch_size, self.steps_per_epoch, self.examples = number * length, 1, 0
        self.info = {
            "environment": dict(environment),
            "number": number,
            "length": length,
            **environments.actions(world),
        }
        self._observations = np.zeros((number, *world.observation_shape), np.float32)

    def peek(self) -> dict[str, np.ndarray]:
        return {"observation": self._observations}

    def batch(self, step: int) -> dict[str, Any]:
        return {}

    @classmethod
    def example(cls, data: Mapping, rows: int) -> dict[str, np.ndarray]:
        """Observations of `rows` environments."""
        shape = build("environments", data["environment"]).observation_shape
        return {"observation": np.zeros((rows, *shape), np.float32)}
