"""What is done to a whole batch on the device, inside the jitted step, while training: one kind a file.

    class Transform:
        def __init__(self, <options of the config>)
        def __call__(self, batch: dict[str, jax.Array], rng: jax.Array) -> dict[str, jax.Array]

Randomness comes from (seed, step) and is drawn for the whole batch, so that it is the same on any
number of hosts, and whether the data are resident or streamed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from bigmodel_jax import config


def augmentation(specs: Sequence[Mapping]) -> Callable[[dict[str, Any], jax.Array], dict[str, Any]]:
    """`augment(batch, rng) -> batch`: all of config.data.batch_transforms, one after another."""
    transforms = [config.build("data.batch_transforms", spec) for spec in specs]

    def augment(batch, rng):
        for transform, key in zip(
            transforms, jax.random.split(rng, len(transforms) + 1), strict=False
        ):
            batch = transform(batch, key)
        return batch

    return augment
