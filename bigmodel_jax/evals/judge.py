"""A trained classifier of images, from its run's directory, that looks at what others paint."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax.errors import UserError


class Judge:
    """Features and classes of images, by a run of task classify.

    Args:
        workdir: of the run; its images must have the size and channels of those of `model`.

    Attributes:
        variables: of the run, on the host.
        classes: how many it knows.

    Raises:
        UserError: it is no such run, or of other images; or any of apply.load.
    """

    def __init__(self, workdir: str, model: Any):
        from bigmodel_jax import apply, experiment, rundir

        if not (Path(workdir).expanduser() / "config.json").is_file():
            raise UserError(
                f"The classifier {workdir} of config.evals is no run: train one, such as configs/mnist.py:cnn, "
                "or name another."
            )
        config = rundir.read_config(workdir)
        data, size = config["data"], (model.image_size, model.channels)
        if config["task"]["name"] != "classify" or data["name"] != "images":
            raise UserError(
                f"The classifier {workdir} is a run of task {config['task']['name']!r} on the data "
                f"{data['name']!r}: it must be one of task 'classify' on 'images'."
            )
        if (data["image_size"], data.get("channels", 3)) != size:
            raise UserError(
                f"The classifier {workdir} reads images of {data['image_size']} pixels and "
                f"{data.get('channels', 3)} channels, but those painted have {size[0]} and {size[1]}."
            )
        with apply.load(workdir) as run:
            self.variables = jax.device_get(run.variables)
        self._task = experiment.make_task(config)
        if not hasattr(self._task.model, "feature_map"):
            raise UserError(
                f"The classifier {workdir} is of model {config['model']['name']!r}, which has no map of "
                "features: take a convolutional one."
            )
        self.classes = self._task.model.num_classes

    def features(self, variables: Any, batch: Any) -> jax.Array:
        """The last map, averaged over its places, and then the logits; `[batch, width + classes]`."""
        of_map, _ = self._task.apply(variables, batch, None, train=False, method="feature_map")
        pooled = of_map.astype(jnp.float32).mean(range(1, of_map.ndim - 1))
        return jnp.concatenate([pooled, self._task.logits(variables, batch)], 1)
