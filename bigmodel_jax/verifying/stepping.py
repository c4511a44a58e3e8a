"""Steps of a config without the loop: on any devices, from any variables; gradients by descent."""

import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from bigmodel_jax import experiment, sharding, steps
from bigmodel_jax.config import complete
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.verifying.comparing import relative_distance
from bigmodel_jax.verifying.finding import Finding, rounding

# A power of two, so large that next to nothing of the gradient is rounded away when it is added to a
# parameter: the move, over this, is the gradient.
RATE = 1024.0


class Descent(NamedTuple):
    """The first step of plain descent.

    Attributes:
        loss: of the first player, where there are several.
        gradient: of all parameters; 0 of those that are not trained.
        rest: the other variables after the step (batch statistics, averages).
        before: all variables before it.
    """

    loss: float
    gradient: Any
    rest: Any
    before: Any


def make_mesh(shape: Mapping[str, int] | None = None):
    """A mesh of all devices in a shape; of one device for None."""
    if shape is None:
        return sharding.make_mesh({"data": 1}, jax.devices()[:1])
    return sharding.make_mesh(shape)


class Stepper:
    """The parts of a config that take its steps; see `opened`."""

    def __init__(self, plan: experiment.Plan):
        self.plan = plan
        self._layout = jax.tree.map(lambda x: x.sharding, plan.abstract)
        update = steps.counted(plan.step).update
        self._update = jax.jit(update, out_shardings=(self._layout, None))

    def start(self, variables=None) -> steps.TrainState:
        """A fresh state, or one of these variables."""
        if variables is None:
            return experiment.fresh_state(self.plan, experiment.find_graft(self.plan))
        step = self.plan.step
        create = jax.jit(lambda v: steps.create_state(step, v), out_shardings=self._layout)
        return create(variables)

    def run(self, state, count: int, batch=None):
        """(state, metrics of each step) after `count` steps; always on `batch` if one is given."""
        source, actor = self.plan.source, self.plan.config["actor"]
        act = jax.jit(self.plan.task.act) if actor else None
        rows = []
        for i in range(count):
            if actor:
                given = source.collect(act, state.variables, i)
            else:
                given = source.batch(i) if batch is None else batch
            placed = sharding.put(given, self.plan.mesh)
            state, row = self._update(state, placed, jax.random.key(0))
            rows.append(jax.device_get(row))
        return state, rows


@contextlib.contextmanager
def opened(config: Mapping, data_dir: str, mesh_shape: Mapping[str, int] | None = None):
    """A Stepper of a config, on a mesh of all devices or, for None, on one device."""
    mesh = make_mesh(mesh_shape)
    config = complete({**config, "mesh": mesh_shape or {"data": 1}})
    with sharding.use(mesh, config["rules"]):
        config["data"], _ = resolve_data(config["data"], data_dir=data_dir)
        yield Stepper(experiment.make_plan(config, data_dir, mesh))


def run_steps(config, data_dir, count, mesh_shape=None, batch=None):
    """(state, metrics of each step) after `count` steps; always on `batch` if one is given."""
    with opened(config, data_dir, mesh_shape) as stepper:
        return stepper.run(stepper.start(), count, batch)


def descending(optimizer: Mapping, **more) -> dict[str, Any]:
    """Plain descent on the same parameters: Adam divides by gradients near 0, which blows rounding up."""

    def plain(player):
        kept = {k: player[k] for k in ("train", "freeze") if k in player}
        return {"name": "sgd", "lr": RATE, **kept, **more}

    return plain(optimizer) if "name" in optimizer else {k: plain(v) for k, v in optimizer.items()}


def streaming(config: Mapping) -> dict[str, Any]:
    """`config` for steps without the loop, which looks after resident data and dispatches."""
    data = {k: v for k, v in config["data"].items() if k != "resident"}
    return {**config, "data": data, "repeat": 1}


def descent(config, data_dir, mesh_shape=None, variables=None) -> Descent:
    """One step of a config whose optimizer is of `descending`, from fresh variables or from these."""
    with opened(streaming(config), data_dir, mesh_shape) as stepper:
        before = stepper.start(variables)
        after, rows = stepper.run(before, 1)
        before, after = jax.device_get((before.variables, after.variables))
    return Descent(loss_of(rows[0]), moved(before, after), rest(after), before)


def moved(before: Mapping, after: Mapping) -> Any:
    """The gradient that moved the parameters, on the host."""
    return jax.tree.map(lambda a, b: (a - b) / RATE, before["params"], after["params"])


def rest(variables: Mapping) -> dict[str, Any]:
    return {k: v for k, v in variables.items() if k != "params"}


def compared(what: str, one: Descent, other: Descent, config: Mapping) -> Finding:
    """The finding of two ways to take the same step; `one` is the plain one."""
    loss = abs(one.loss - other.loss) / max(abs(one.loss), 1e-12)
    parts = {"loss": loss, "gradient": relative_distance(other.gradient, one.gradient)}
    if jax.tree.leaves(one.rest):
        parts["other variables"] = relative_distance(other.rest, one.rest)
    where = max(parts, key=lambda k: np.nan_to_num(parts[k], nan=np.inf))
    dtype = np.dtype(config["model"].get("dtype", "float32"))
    return Finding(f"{what}: loss and gradient in {dtype}", parts[where], rounding(config), where)


def loss_of(row) -> float:
    """The mean of the first loss of a step's metrics that was computed."""
    name = next(k for k in sorted(row) if k.endswith("loss") and row[k].weight)
    return float(row[name].total / row[name].weight)
