"""Configs in whose steps nothing is drawn, for laws under which the draws would be others."""

from collections.abc import Mapping
from typing import Any

import jax

from bigmodel_jax import sharding
from bigmodel_jax.verifying import stepping
from bigmodel_jax.verifying.finding import DoesNotApply


def removed(config: Mapping, data_dir: str) -> dict[str, Any]:
    """`config` without any dropout.

    Raises:
        DoesNotApply: its loss is drawn all the same (a masked token, say), or it has several.
    """
    if "name" not in config["optimizer"]:
        raise DoesNotApply("several players take turns in a step")
    kept = {k: v for k, v in config["model"].items() if "dropout" not in k and k != "drop_path"}
    config = {**config, "model": kept}
    with stepping.opened(stepping.streaming(config), data_dir) as stepper:
        given = {} if config["actor"] else stepper.plan.source.batch(0)
        if not given:
            raise DoesNotApply("an environment makes its batches")
        task, variables = stepper.plan.task, stepper.start().variables
        batch = sharding.put(given, stepper.plan.mesh)

        @jax.jit
        def loss(key):
            return task.loss(variables, batch, key, train=True)[0].total

        if float(loss(jax.random.key(0))) != float(loss(jax.random.key(1))):
            raise DoesNotApply("a step draws by chance, dropout aside, and would draw otherwise")
    return config
