"""Trains runs that differ in their seed, or in a few numbers besides, as one program.

Their states are stacked on a leading axis, and one dispatch updates them all; the data on the device are
there once. Each run has the batches, the order and the randomness that it would have alone, and so
ends where it would have ended, up to rounding. What it leaves is an ordinary run.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import config as configs
from bigmodel_jax import experiment, optim, sharding, steps
from bigmodel_jax.compiling import keep_programs
from bigmodel_jax.data.prefetch import Prefetch, stack
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals.passes import Pass
from bigmodel_jax.experiment import Plan
from bigmodel_jax.inheritance import inherit
from bigmodel_jax.preemption import Preemption
from bigmodel_jax.steps import TrainState
from bigmodel_jax.train import AHEAD, Run, opened

# What may differ besides the seed: a number that is an argument of the program, not a constant of it.
NUMBERS = ("optimizer.lr", "optimizer.weight_decay", "task.label_smoothing")


class Member(NamedTuple):
    """One of the runs.

    Attributes:
        config: completed.
        log: takes what the run says.
    """

    config: dict
    workdir: Path
    log: TextIO


class Unfit(UserError):
    """What was asked for cannot be trained as one program."""


def check(config: Mapping) -> None:
    """Raises Unfit for a config whose runs cannot go in step."""
    early, plateau = config["early_stopping"].get("patience"), config["reduce_on_plateau"]
    refused = [
        (config["actor"], "config.actor acts between the updates of each"),
        (early, "config.early_stopping.patience ends each at a step of its own"),
        (plateau, "config.reduce_on_plateau slows each at a step of its own"),
        (max(config["mesh"].values()) > 1, "config.mesh splits each over several devices"),
        (jax.process_count() > 1, "there are several processes"),
    ]
    for condition, why in refused:
        if condition:
            raise Unfit(f"--stacked trains runs in step on one device, but {why}: run without it.")


def program(config: Mapping) -> str:
    """The same for the configs of runs that can be trained as one program."""
    shared: dict = {**configs.plain(config), "seed": None}
    for section, key in (name.split(".") for name in NUMBERS):
        if shared[section].get(key):  # without weight decay the optimizer is another
            shared[section] = {**shared[section], key: "a number"}
    return configs.to_json(shared)


def abreast() -> bool:
    """Whether the runs are updated side by side, by `vmap`, or one after the other by a loop in the program.

    An accelerator is idle between the small steps of one run. A CPU is not: there a run's k steps in
    turn find its parameters in the cache, which those of twenty runs do not fit.
    """
    return sharding.platform() != "cpu"


def train(
    members: Sequence[Member], data_dir: str, on_stop: Callable[[], None] = lambda: None
) -> dict[int, UserError]:
    """Trains runs of one `program` that stand at the same step.

    Args:
        on_stop: called where they were asked to stop and have saved, before their end.

    Returns:
        Why some of them have failed, by their place; the others are not ended by it.

    Raises:
        Unfit: see `check`; or their batches or their lengths differ.
        UserError: bad input.
    """
    keep_programs(data_dir)
    found = [inherit(configs.complete(member.config)) for member in members]
    for config in found:
        check(config)
    mesh = sharding.make_mesh({"data": 1}, jax.devices()[:1])
    runs, states = [], []
    with sharding.use(mesh, found[0]["rules"]), contextlib.ExitStack() as held:
        for config, member in zip(found, members, strict=True):
            # The first alone is watched for hanging, and is what the others take their programs from.
            options = {"hang_minutes": 0.0, "like": runs[0].plan} if runs else {}
            with contextlib.redirect_stdout(member.log):
                run, state = held.enter_context(
                    opened(config, str(member.workdir), data_dir, mesh, **options)
                )
                run.writer.say(f"It is one of {len(members)} runs that are trained as one program.")
            run.folder.write_about({**run.folder.read_about(), "together": len(members)})
            runs.append(run)
            states.append(state)
        stacked = Stacked(runs, states, [member.log for member in members])
        with Preemption() as preemption:
            stacked.loop(preemption)
            stacked.each(lambda i, run: run.end(stacked.state_of(i), on_stop))
    return stacked.errors


class Stacked:
    """Runs in step.

    Attributes:
        state: of all runs, on a leading axis; they share the step.
        errors: why runs have failed, by their place.
    """

    def __init__(self, runs: Sequence[Run], states: Sequence[TrainState], logs: Sequence[TextIO]):
        self.runs, self.logs, self.first = runs, logs, runs[0]
        self.errors: dict[int, UserError] = {}
        if len(getattr(self.first.source, "buckets", (0,))) > 1:
            raise Unfit(
                f"--stacked needs batches of one shape, but config.data.buckets are "
                f"{self.first.source.buckets}: give one, or leave --stacked out."
            )
        if len({(int(s.step), run.total) for s, run in zip(states, runs, strict=True)}) > 1:
            raise Unfit(
                "--stacked needs runs of one length that stand at one step, and these do not: run "
                "without it."
            )
        for run in runs[1:]:  # its source is its own: what is masked may be drawn from the seed
            for name, evaluator in run.evaluators.items():
                if isinstance(evaluator, Pass):
                    evaluator.share(self.first.evaluators[name])
        variables, slots = _stack([(state.variables, state.slots) for state in states])
        self.state = TrainState(states[0].step, variables, slots)

    def state_of(self, i: int) -> TrainState:
        """The state of one run."""
        variables, slots = _take((self.state.variables, self.state.slots), i)
        return TrainState(self.state.step, variables, slots)

    def each(self, act: Callable[[int, Run], Any]) -> None:
        """Does something with every run that has not failed; what it prints goes to the run's log."""
        for i, run in enumerate(self.runs):
            if i not in self.errors:
                with contextlib.redirect_stdout(self.logs[i]):
                    try:
                        act(i, run)
                    except UserError as error:
                        self.errors[i] = error

    def loop(self, preemption: Preemption) -> None:
        """Updates until the end, a preemption, or until all have failed; see train.Run.loop."""
        first, k, begun = self.first, self.first.k, int(self.state.step)
        update, assemble = self.compiled()
        rngs = jnp.stack([jax.random.key(run.config["seed"]) for run in self.runs])
        numbers = differing([run.config for run in self.runs])
        pace = first.clocked(begun)
        for run in self.runs:
            run.pace = pace
        rows = []
        with Prefetch(self.batch, self.place, begun, first.total, k) as batches:
            for done, batch in zip(range(begun + k, first.total + 1, k), batches, strict=True):
                first.observer.before(done - k, batch, self.state)
                self.state, row = update(self.state, assemble(batch), rngs, numbers)
                rows.append(row)
                jax.block_until_ready(rows[-AHEAD - 1 : -AHEAD])

                last = done == first.total
                logging = done % first.log_every == 0 or last
                evaluating = last or any(done % n == 0 for n in first.intervals.values())
                asked = preemption.requested(done // k)
                saving = last or asked or self.due(done, logging)
                drawing = done % first.histograms == 0
                if not (logging or evaluating or saving or drawing):
                    continue
                rows = self.hand_out(rows)
                lap = pace.lap(done, batches.waited) if logging else {}
                if "mfu" in lap:
                    lap["mfu"] *= len(self.runs)  # which all keep the device busy
                self.each(functools.partial(self.attend, done, lap, saving))
                if asked or len(self.errors) == len(self.runs):
                    break

    def due(self, done: int, logging: bool) -> bool:
        """Whether it is time for a checkpoint."""
        going = [run for i, run in enumerate(self.runs) if i not in self.errors]
        return any(run.keeper.due(done, logging) for run in going)

    def attend(self, done: int, lap: Mapping[str, float], saving: bool, i: int, run: Run) -> None:
        """All that is due of a run after a step."""
        run.flush(done)
        if lap:
            run.log(done, lap)
        state = self.state_of(i)
        if done % run.histograms == 0:
            with run.pace.paused():
                run.writer.histograms(done, state.params)
        state, improved = run.evaluate(state, done)
        if improved or saving:
            run.save(state, done)

    def hand_out(self, rows: Sequence[Any]) -> list[Any]:
        """Gives each run its part of the metrics; what is left of them."""
        for row in jax.device_get(rows):
            for i, run in enumerate(self.runs):
                run.rows.append(jax.tree.map(lambda x, i=i: x[i], row))
        return []

    def compiled(self) -> tuple[Callable, Callable]:
        """(`update(state, batch, rngs, numbers) -> (state, metrics)`, `assemble(batch) -> batch`).

        All but the step has a leading axis of runs; see train.Run.compiled.
        """
        plan, source, k = self.first.plan, self.first.source, self.first.k

        def update(state, batch, rngs, numbers):
            def one(inputs):
                variables, slots, batch, rng, numbers = inputs
                step = steps.counted(step_with(plan, numbers))
                step = steps.repeat(k, step) if k > 1 else step
                new, row = step.update(TrainState(state.step, variables, slots), batch, rng)
                return new.variables, new.slots, row

            inputs = (state.variables, state.slots, batch, rngs, numbers)
            variables, slots, row = jax.vmap(one)(inputs) if abreast() else jax.lax.map(one, inputs)
            return TrainState(state.step + k, variables, slots), row

        update = jax.jit(update, donate_argnums=0)
        if not getattr(source, "resident", False):
            return update, lambda batch: batch
        make = jax.vmap(source.assemble, (None, 0))
        make = jax.vmap(make, (None, 0)) if k > 1 else make
        return update, functools.partial(
            jax.jit(make), sharding.replicate(source.store(), plan.mesh)
        )

    def batch(self, step: int) -> Any:
        return stack([run.batch(step) for run in self.runs])

    def place(self, batch: Any) -> Any:
        """Puts batches `[runs, ...]`, or `[k, runs, ...]` of k steps, on the device, runs first."""
        if self.first.k > 1:
            batch = jax.tree.map(lambda x: np.swapaxes(x, 0, 1), batch)
        return sharding.put(batch, self.first.plan.mesh, stacked=True)


def differing(found: Sequence[Mapping]) -> dict[str, jax.Array]:
    """Of NUMBERS those in which configs differ, float32 [configs]."""
    numbers = {}
    for name in NUMBERS:
        section, key = name.split(".")
        values = [config[section].get(key) for config in found]
        if len(set(values)) > 1:
            numbers[name] = jnp.asarray(values, jnp.float32)
    return numbers


def step_with(plan: Plan, numbers: Mapping[str, jax.Array]) -> steps.Step:
    """A plan's step with numbers in place of those of its config.

    Raises:
        Unfit: the task keeps its label_smoothing elsewhere.
    """
    if not numbers:
        return plan.step
    given = {name.partition(".")[2]: value for name, value in numbers.items()}
    task = copy.copy(plan.task)
    if "label_smoothing" in given:
        if not hasattr(task, "label_smoothing"):
            raise Unfit(
                "--stacked cannot vary config.task.label_smoothing, which is no attribute of the task: "
                "run without it."
            )
        task.label_smoothing = given.pop("label_smoothing")
    spec = {**plan.config["optimizer"], **given}
    optimizer = optim.build(spec, plan.clock, plan.abstract.params)
    return experiment.make_step(plan.config, plan.source, task, optimizer, plan.abstract.variables)


@jax.jit
def _stack(trees):
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)


@jax.jit
def _take(tree, i):
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), tree)
