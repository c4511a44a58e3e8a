"""From a config to the parts of a run: source, task, step, abstract state.

Shared by all commands, so that training, evaluation and prediction build the same things the same
way.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from bigmodel_jax import optim, sharding, steps
from bigmodel_jax.config import build, fill
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError
from bigmodel_jax.steps import Step, TrainState


class Plan(NamedTuple):
    """A run before it starts.

    Attributes:
        config: completed; the model's fields filled in from the data.
        clock: turns durations into steps.
        abstract: shapes, dtypes and shardings of the state.
        init: makes the variables, unboxed.
        epoch: the batches of one epoch of the training part, whole on every process.
    """

    config: dict
    mesh: jax.sharding.Mesh
    source: Any
    task: Any
    step: Step
    clock: Clock
    abstract: TrainState
    init: Any
    epoch: Any


def open_source(config: Mapping, data_dir: str, **runtime) -> Any:
    """The source of config.data; `runtime` may name split, training, batch_size."""
    spec = {**config["data"]}
    if "batch_size" in runtime:
        spec.pop("batch_size", None)
    process = runtime.pop("process", (jax.process_index(), jax.process_count()))
    return build(
        "data",
        spec,
        seed=config["seed"],
        group=config["repeat"] if runtime.get("training", True) else 1,
        data_dir=data_dir,
        process=process,
        **runtime,
    )


def make_plan(config: dict, data_dir: str, mesh: jax.sharding.Mesh) -> Plan:
    """Builds everything of a run but its arrays. Call it under `sharding.use(mesh, ...)`.

    Args:
        config: completed and resolved.
    """
    if config["actor"]:
        source = build("data.actors", config["actor"], seed=config["seed"])
    else:
        source = open_source(config, data_dir, split="train", training=True)
    rows = mesh.shape["data"] * mesh.shape["fsdp"]
    micro = rows * _accumulate(config["optimizer"])
    if source.examples and source.batch_size % micro:
        raise UserError(
            f"config.data.batch_size {source.batch_size} does not divide by {micro}: {rows} devices "
            f"share a batch, in {micro // rows} micro-batches."
        )
    config = {**config, "model": fill(config["model"], source.info)}
    task = make_task(config)
    clock = Clock(source.steps_per_epoch, source.batch_size)
    total = clock.steps(config["duration"], "config.duration")
    clock = Clock(source.steps_per_epoch, source.batch_size, total=total)
    example = example_batch(source)

    def boxed():
        variables = task.init(jax.random.key(config["seed"]), example())
        if config["ema"]:
            variables = {**variables, "ema": variables["params"]}
        return variables

    def epoch():
        whole = open_source(config, data_dir, split="train", training=False, process=(0, 1))
        return (whole.batch(i) for i in range(whole.steps_per_epoch))

    variables = sharding.abstract(boxed, mesh)
    optimizer = optim.build(config["optimizer"], clock, variables["params"])
    step = task.step(optimizer)
    if config["ema"]:
        step = steps.chain(step, steps.ema(config["ema"]))
    state = jax.eval_shape(lambda v: steps.create_state(step, v), variables)
    state = sharding.follow(state, variables["params"], mesh).replace(variables=variables)
    return Plan(config, mesh, source, task, step, clock, state, lambda: nn.unbox(boxed()), epoch)


def make_task(config: Mapping) -> Any:
    """The task around its model."""
    if not config["model"] or not config["task"]:
        raise UserError("The config needs a model and a task: dict(name=...) each.")
    return build("tasks", config["task"], model=build("models", config["model"]))


def example_batch(source):
    """`() -> zeros of the shapes of the global batch`; only shapes matter to an init."""
    share = source.peek()
    count = jax.process_count()

    def example():
        return jax.tree.map(lambda x: jnp.zeros((x.shape[0] * count, *x.shape[1:]), x.dtype), share)

    return example


def fresh_state(plan: Plan) -> TrainState:
    """The state of step 0, made where it lives; a task's `fit` gets one epoch of batches."""
    layout = jax.tree.map(lambda x: x.sharding, plan.abstract)
    variables = jax.jit(plan.init, out_shardings=layout.variables)()
    fit = getattr(plan.task, "fit", None)
    if fit is not None:
        fitted = fit(variables, plan.epoch())
        variables = jax.tree.map(jax.device_put, fitted, layout.variables)
    create = jax.jit(lambda v: steps.create_state(plan.step, v), out_shardings=layout)
    return create(variables)


def for_evaluation(variables: Mapping) -> dict:
    """The variables that evaluation uses: the average in place of the parameters, if there is one."""
    rest = {k: v for k, v in variables.items() if k != "ema"}
    return {**rest, "params": variables.get("ema", variables["params"])}


def _accumulate(spec):
    players = [spec] if "name" in spec else [v for v in spec.values() if isinstance(v, Mapping)]
    return max([player.get("accumulate", 1) for player in players], default=1)
