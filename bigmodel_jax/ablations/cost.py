"""What a variant of an ablation costs in products, besides time: counted from its step's program."""

import contextlib
import io
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax import experiment, sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.planning import flops

SAMPLED = 32  # steps of an epoch, whose batches may have different lengths


def flops_per_step(config: Mapping, data_dir: str) -> float | None:
    """The products of a training step, a multiplication and an addition being two; nothing is compiled.

    The mean over SAMPLED steps of the first epoch, evenly apart: exact where all batches have one
    shape. What remat computes again counts. None of a run with an actor, or without its data.

    Args:
        config: of a run, resolved.
    """
    if config["actor"]:
        return None
    data = {k: v for k, v in config["data"].items() if k != "resident"}
    mesh = sharding.make_mesh({"data": 1}, jax.devices()[:1])
    try:
        # What the data are worth saying of, the run has said.
        with sharding.use(mesh, config["rules"]), contextlib.redirect_stdout(io.StringIO()):
            plan = experiment.make_plan({**config, "data": data}, data_dir, mesh)
            return _mean(plan)
    except UserError:
        return None


def _mean(plan: experiment.Plan) -> float:
    last = plan.source.steps_per_epoch - 1
    shapes: Counter[Any] = Counter()
    for step in np.unique(np.linspace(0, last, SAMPLED).astype(int)):
        batch = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), plan.source.batch(int(step))
        )
        leaves, structure = jax.tree.flatten(batch)
        shapes[tuple(leaves), structure] += 1
    key, found = jax.eval_shape(lambda: jax.random.key(0)), 0.0
    for (leaves, structure), times in shapes.items():
        batch = jax.tree.unflatten(structure, leaves)
        jaxpr = jax.make_jaxpr(plan.step.update)(plan.abstract, batch, key)
        found += times * flops.total(flops.count(_wanted(jaxpr))).flops
    return found / shapes.total()


def _wanted(jaxpr: Any) -> Any:
    """The program without what no result depends on, which XLA leaves out: the gradient of the input."""
    inner = jaxpr.jaxpr
    needed, kept = set(map(id, inner.outvars)), []
    for eqn in reversed(inner.eqns):
        if needed & set(map(id, eqn.outvars)) or eqn.effects:
            kept.append(eqn)
            needed |= set(map(id, eqn.invars))
    return jaxpr.replace(jaxpr=inner.replace(eqns=kept[::-1]))
