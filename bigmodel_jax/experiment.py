"""From a config to the parts of a run: source, task, step, abstract state.

Shared by all commands, so that training, evaluation and prediction build the same things the same
way.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bigmodel_jax import graft, optim, sharding, steps
from bigmodel_jax.config import build, fill
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError
from bigmodel_jax.graft import Graft
from bigmodel_jax.steps import Step, TrainState


class Plan(NamedTuple):
    """A run before it starts.

    Attributes:
        config: completed; the model's and the task's fields filled in from the data.
        clock: turns durations into steps.
        abstract: shapes, dtypes and shardings of the state.
        init: `key -> variables`, unboxed.
        epoch: the batches of one epoch of the training part, whole on every process; opened only
            by whoever goes through it, once or several times.
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

    @property
    def prefix(self) -> str:
        """Before every metric's name where the data are generated: never to be taken for real."""
        generated = getattr(self.source, "synthetic", False)
        return f"{self.source.reader_name}/" if generated else ""


class Epoch:
    """The training part once, as whole batches in one order; opened anew by each `iter`."""

    def __init__(self, config: Mapping, data_dir: str):
        self._open = lambda: open_source(config, data_dir, split="train", training=False)

    def __iter__(self) -> Iterator[Any]:
        source = self._open()
        return (source.batch(i) for i in range(source.steps_per_epoch))


def open_source(config: Mapping, data_dir: str, share: tuple[int, int] = (0, 1), **runtime) -> Any:
    """The source of config.data.

    Args:
        share: the part of every batch that is this process's, see sharding.share.
        runtime: split, training, batch_size.
    """
    spec = {**config["data"]}
    if "batch_size" in runtime:
        spec.pop("batch_size", None)
    return build(
        "data",
        spec,
        seed=config["seed"],
        group=config["repeat"] if runtime.get("training", True) else 1,
        data_dir=data_dir,
        process=share,
        **runtime,
    )


def make_plan(config: dict, data_dir: str, mesh: jax.sharding.Mesh, source: Any = None) -> Plan:
    """Builds everything of a run but its arrays. Call it under `sharding.use(mesh, ...)`.

    Args:
        config: completed and resolved.
        source: with whole batches, in place of config.data's.
    """
    share = (0, 1) if source is not None else sharding.share(mesh)
    if source is None and config["actor"]:
        source = build("data.actors", config["actor"], seed=config["seed"])
    elif source is None:
        source = open_source(config, data_dir, share, split="train", training=True)
    config = {**config, **{k: fill(f"{k}s", config[k], source.info) for k in ("model", "task")}}
    if hasattr(source, "fingerprint"):
        config["data"] = {**config["data"], "fingerprint": source.fingerprint}
    for spec in config["evals"].values():
        if "split" in spec and hasattr(source, "check_split"):
            source.check_split(spec["split"])
    task = make_task(config)
    if hasattr(task, "check"):
        task.check(source)
    clock = Clock(source.steps_per_epoch, source.batch_size)
    total = clock.steps(config["duration"], "config.duration")
    clock = Clock(source.steps_per_epoch, source.batch_size, total=total)
    boxed = make_init(config, task, source.peek(), share[1])

    variables = sharding.abstract(boxed, mesh)
    optimizer = optim.build(config["optimizer"], clock, variables["params"])
    _check_batch(source, optimizer, mesh)
    step = make_step(config, source, task, optimizer, variables)
    state = jax.eval_shape(lambda v: steps.create_state(step, v), variables)
    state = sharding.follow(state, variables["params"], mesh).replace(variables=variables)

    def init(rng):
        return sharding.unbox(boxed(rng))

    return Plan(config, mesh, source, task, step, clock, state, init, Epoch(config, data_dir))


def make_step(config: Mapping, source, task, optimizer, variables: Mapping) -> Step:
    """The task's step, with the source's augmentation before it and config.ema's averages after it."""
    step = task.step(optimizer)
    if hasattr(source, "augment"):
        step = steps.augmented(source.augment, step)
    if config["ema"]:
        kept = [(k, v) for k, v in steps.AVERAGED.items() if k in variables]
        step = steps.chain(step, *(steps.ema(config["ema"], k, of) for k, of in kept))
    return step


def _check_batch(source, optimizer, mesh):
    """Raises a UserError for a batch that the devices or the micro-batches do not divide."""
    players = optimizer.values() if isinstance(optimizer, dict) else [optimizer]
    rows = mesh.shape["data"] * mesh.shape["fsdp"]
    for micro in (player.accumulate for player in players):
        if source.examples and source.batch_size % (rows * micro):
            raise UserError(
                f"config.data.batch_size {source.batch_size} does not divide by {rows * micro}: "
                f"{rows} devices share a batch, in {micro} micro-batches."
            )


def make_task(config: Mapping) -> Any:
    """The task around its model."""
    return build("tasks", config["task"], model=build("models", config["model"]))


def make_init(
    config: Mapping, task, rows: Mapping, count: int = 1
) -> Callable[..., steps.Variables]:
    """`(rng=None) -> variables`, boxed with the names of their axes; None is config.seed's.

    Args:
        rows: a part of any batch; only shapes matter to an init.
        count: how many such parts make up a batch.
    """

    def boxed(rng=None):
        rng = jax.random.key(config["seed"]) if rng is None else rng
        batch = {k: jnp.zeros((len(x) * count, *x.shape[1:]), x.dtype) for k, x in rows.items()}
        variables = task.init(rng, batch)
        return averaged(variables) if config["ema"] else variables

    return boxed


def find_graft(plan: Plan) -> Graft | None:
    """What the run's parameters start from by config.init_from, if it says so; see graft.find."""
    own = getattr(plan.task, "own", ())
    return graft.find(plan.config["init_from"], plan.abstract.variables, plan.source, own)


def fresh_state(plan: Plan, origin: Graft | None = None) -> TrainState:
    """The state of step 0, made where it lives.

    A source's `start_from` may replace parameters (word vectors); a task's `fit` may go through the
    training part (naive Bayes). What is taken from another run, `origin`, stays as it was there.
    """
    layout = jax.tree.map(lambda x: x.sharding, plan.abstract)
    rng = jax.random.key(plan.config["seed"])
    if origin is None:
        # With the key as an argument one program serves all seeds.
        variables = jax.jit(plan.init, out_shardings=layout.variables)(rng)
    else:
        init = functools.partial(plan.init, rng)
        variables = graft.load(origin, plan.abstract.variables, init)
    start = getattr(plan.source, "start_from", lambda v: v)
    fit = getattr(plan.task, "fit", lambda v, _: v)
    fitted = fit(start(variables), plan.epoch)
    if fitted is not variables:
        if origin is not None:
            fitted = graft.keep(origin, variables, fitted)
        if "ema" in fitted:
            fitted = averaged(fitted)
        variables = jax.tree.map(jax.device_put, fitted, layout.variables)
    create = jax.jit(steps.create_state, static_argnums=0, out_shardings=layout)
    return create(plan.step, variables)


def for_evaluation(variables: Mapping) -> dict:
    """The variables that evaluation uses: averages in place of what they are of, if there are any."""
    rest = {k: v for k, v in variables.items() if k not in steps.AVERAGED}
    return {**rest, **{of: variables[k] for k, of in steps.AVERAGED.items() if k in variables}}


def averaged(variables: Mapping) -> dict:
    """`variables` with the averages that config.ema keeps, at their start."""
    return {
        **variables,
        **{k: variables[of] for k, of in steps.AVERAGED.items() if of in variables},
    }
