"""The training loop: one for every task.

config -> source, task, step           what to train (experiment.py)
       -> state                        this run's checkpoint, else init_from's, else fresh
       -> update, update, update, ...  each followed by log, evaluation, checkpoint when due
       -> the evaluations kept for the end, with the best parameters (summary.py)
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax

from bigmodel_jax import experiment, finite, optim, sharding, steps, summary
from bigmodel_jax.checkpoint import Checkpointer
from bigmodel_jax.compiling import keep_programs
from bigmodel_jax.config import build, complete
from bigmodel_jax.data.prefetch import Prefetch
from bigmodel_jax.data.prepared import default_data_dir
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.experiment import Plan
from bigmodel_jax.inheritance import inherit
from bigmodel_jax.metrics import Sums
from bigmodel_jax.monitor import Monitor, Plateau
from bigmodel_jax.observing import Observer
from bigmodel_jax.pace import Pace
from bigmodel_jax.planning import hardware, program
from bigmodel_jax.preemption import Preemption
from bigmodel_jax.processes import agree
from bigmodel_jax.rundir import RunDir
from bigmodel_jax.steps import TrainState
from bigmodel_jax.writers import Writer

# Two steps ahead keep the device busy. More would hold the memory of their batches, delay a SIGTERM,
# and can deadlock the collectives of pretended CPU devices.
AHEAD = 2

Watcher = TypeVar("Watcher", bound=Monitor)


def train(
    config: Mapping,
    workdir: str,
    *,
    data_dir: str | None = None,
    allow_changed_config: bool = False,
    profile: str = "",
    hang_minutes: float = 30.0,
    on_stop: Callable[[], None] = lambda: None,
    on_evaluation: Callable[[int, Mapping[str, float]], None] = lambda step, metrics: None,
    preemption: Preemption | None = None,
) -> TrainState:
    """Trains as `config` says, going on from `workdir` if it holds a checkpoint.

    Args:
        profile: steps to trace, "100:110".
        hang_minutes: without a step, after which the stacks of all threads are shown; 0 is never.
        on_stop: called where the run was asked to stop and has saved, before its end.
        on_evaluation: told of each evaluation during training, on every process; what it raises ends the
            run.
        preemption: what asks it to stop; by default SIGTERM and Ctrl-C.

    Returns:
        The last state. What was measured is in the run's directory.

    Raises:
        UserError: bad input, a damaged checkpoint, a non-finite loss, a full disk.
    """
    data_dir = data_dir or default_data_dir()
    keep_programs(data_dir)
    config = inherit(complete(config))
    mesh = sharding.make_mesh(config["mesh"])
    told = {"allow_changed_config": allow_changed_config, "profile": profile}
    with (
        sharding.use(mesh, config["rules"]),
        opened(config, workdir, data_dir, mesh, hang_minutes=hang_minutes, **told) as (run, state),
        preemption or Preemption() as run.preemption,
    ):
        run.on_evaluation = on_evaluation
        state = run.loop(state, int(state.step))
        run.end(state, on_stop)
        return state


@contextlib.contextmanager
def opened(
    config: dict,
    workdir: str,
    data_dir: str,
    mesh: jax.sharding.Mesh,
    *,
    allow_changed_config: bool = False,
    profile: str = "",
    hang_minutes: float = 30.0,
    like: Plan | None = None,
) -> Iterator[tuple["Run", TrainState]]:
    """A run and the state from which it goes on. Call it under `sharding.use(mesh, ...)`.

    Args:
        config: completed, and what it inherits in it.
        like: the plan of a run that differs in its seed, whose programs serve this one, too.
    """
    with RunDir(workdir) as folder:
        config["data"], substitute = resolve_data(
            config["data"], data_dir=data_dir, num_processes=jax.process_count()
        )
        if substitute and jax.process_index() == 0:
            print("\n".join(["=" * 80, substitute, "=" * 80]), flush=True)
        plan = experiment.make_plan(config, data_dir, mesh)
        if like is not None:
            plan = plan._replace(task=like.task, step=like.step, init=like.init)
        agree(plan.config)
        folder.check(plan.config, allow_changed_config)
        with Checkpointer(
            folder.path / "checkpoints", plan.clock, **config["checkpoint"]
        ) as keeper:
            run = Run(plan, folder, keeper, data_dir, substitute)
            state = run.start()
            folder.write(plan.config, plan.source)  # only now: a refused resume changes nothing
            if run.origin is not None and jax.process_index() == 0:
                run.origin.write(folder.path)
            first = int(state.step)
            writer = Writer(
                folder.path, first, run.total, plan.prefix, quiet=jax.process_index() != 0
            )
            shapes = len(getattr(plan.source, "buckets", (0,)))
            observer = Observer(writer.say, shapes, profile, folder.path / "profile", hang_minutes)
            with writer as run.writer, observer.watching() as run.observer:
                summary.describe(run, state, first)
                yield run, state


class Run:
    """The parts of a run that its loop works with."""

    writer: Writer
    observer: Observer
    preemption: Preemption
    pace: Pace

    def __init__(
        self,
        plan: Plan,
        folder: RunDir,
        keeper: Checkpointer,
        data_dir: str,
        substitute: str | None,
    ):
        self.plan, self.folder, self.keeper, self.substitute = plan, folder, keeper, substitute
        self.on_evaluation: Callable[[int, Mapping[str, float]], None] = lambda step, metrics: None
        self.config, self.source = plan.config, plan.source
        self.actor = self.source if self.config["actor"] else None
        self.k = self.config["repeat"]
        self.total = self._steps(self.config["duration"], "config.duration")
        self.log_every = self._steps(self.config["log_every"], "config.log_every")
        often = self.config["histograms"]
        self.histograms = self._steps(often, "config.histograms") if often else self.total + 1
        if keeper.steps:
            self._steps(self.config["checkpoint"]["every"], "config.checkpoint.every")
        if self.actor and self.k > 1:
            raise UserError("config.repeat must be 1 with an actor, which acts between updates.")

        open_source = functools.partial(
            experiment.open_source, self.config, data_dir, sharding.share(plan.mesh), training=False
        )
        self.evaluators, self.intervals = {}, {}
        for name, spec in self.config["evals"].items():
            options = dict(spec)
            every = options.pop("every", "end")
            if every != "end":
                self.intervals[name] = self._steps(every, f"config.evals.{name}.every")
            self.evaluators[name] = build(
                "evals", options, task=plan.task, open_source=open_source, mesh=plan.mesh
            )
        self.stopping = self._monitor("early_stopping", Monitor)
        self.plateau = self._monitor("reduce_on_plateau", Plateau)
        self.origin = None  # another run's parameters, from which a fresh one may start
        self.scale = 1.0  # of the learning rate, lowered on plateaus
        self.trained = 0.0  # seconds, before this process
        self.pending = Sums()  # metrics since the last log
        self.rows: list[Any] = []  # metrics still on the device, one a dispatch

    @property
    def stopped(self) -> bool:
        """Whether the run ended early."""
        return self.stopping is not None and self.stopping.exhausted

    def start(self) -> TrainState:
        """This run's newest whole checkpoint, else what config.init_from names, else fresh."""
        step = self.keeper.find()
        if step is None:
            self.origin = experiment.find_graft(self.plan)
            if self.origin is not None and jax.process_index() == 0:
                print(self.origin.describe(), flush=True)
            return experiment.fresh_state(self.plan, self.origin)
        if step % self.k:
            raise UserError(
                f"The newest checkpoint is of step {step}, which config.repeat={self.k} does not "
                "divide."
            )
        if step > self.total:
            raise UserError(
                f"{self.folder.path} is at step {step} already, beyond config.duration, which is "
                f"{self.total} steps."
            )
        actor = self.actor.state() if self.actor else None
        state, host, actor = self.keeper.restore(step, self.plan.abstract, actor)
        if self.actor:
            self.actor.restore(actor)
        self.scale, self.pending = host["scale"], Sums.from_json(host["pending"])
        self.trained = host["trained"]
        if self.stopping:
            self.stopping.resume(host["early_stopping"])
        if self.plateau:
            self.plateau.resume(host["reduce_on_plateau"])
        return state

    def loop(self, state: TrainState, first: int) -> TrainState:
        """Updates until the end, an early stop or a preemption."""
        update, assemble = self.compiled()
        act = jax.jit(self.plan.task.act) if self.actor else None
        rng = jax.random.key(self.config["seed"])
        last = first if self.stopped else self.total
        self.pace = self.clocked(first)

        with Prefetch(self.batch, self.place, first, last, self.k) as batches:
            for done, batch in zip(range(first + self.k, last + 1, self.k), batches, strict=True):
                if self.actor:
                    batch = self.place(self.actor.collect(act, state.variables, done - self.k))
                self.observer.before(done - self.k, batch, state)
                state, row = update(state, assemble(batch), rng)
                self.rows.append(row)
                jax.block_until_ready(self.rows[-AHEAD - 1 : -AHEAD])

                logging = done % self.log_every == 0 or done == last
                if logging:
                    self.flush(done)
                    self.log(done, self.pace.lap(done, batches.waited))
                if done % self.histograms == 0:
                    with self.pace.paused():
                        self.writer.histograms(done, state.params)
                state, improved = self.evaluate(state, done)
                preempted = self.preemption.requested(done // self.k)
                ended = done == last or self.stopped or preempted
                if improved or ended or self.keeper.due(done, logging):
                    self.save(state, done)
                if ended:
                    break
        return state

    def compiled(self) -> tuple[Callable, Callable]:
        """(`update(state, batch, rng) -> (state, metrics)`, `assemble(batch) -> batch`).

        `assemble` makes the batch from rows of data that are resident on the device. It is a program of
        its own, so that the update is the same one, to the bit, whether data are resident or not.
        """
        layout = jax.tree.map(lambda x: x.sharding, self.plan.abstract)
        step = steps.counted(self.plan.step)
        step = steps.repeat(self.k, step) if self.k > 1 else step
        # Pinned: otherwise XLA may choose other shardings after the first step, and a resumed run
        # would no longer have the bits of an uninterrupted one.
        update = jax.jit(step.update, donate_argnums=0, out_shardings=(layout, None))
        if not getattr(self.source, "resident", False):
            return update, lambda batch: batch
        store = sharding.replicate(self.source.store(), self.plan.mesh)
        make = jax.vmap(self.source.assemble, (None, 0)) if self.k > 1 else self.source.assemble
        rows = sharding.rows(self.plan.mesh, stacked=self.k > 1)
        return update, functools.partial(jax.jit(make, out_shardings=rows), store)

    def clocked(self, first: int) -> Pace:
        """The pace from step `first` on, with MFU where the devices' peak is known."""
        rows = {} if self.actor else self.source.peek()
        tokens = rows["tokens"].size * sharding.share(self.plan.mesh)[1] if "tokens" in rows else 0
        peak = hardware.peak(jax.devices()[0].device_kind) * len(jax.devices())
        flops = program.model_flops(self.plan) / peak if peak and not self.actor else 0.0
        return Pace(first, self.source.batch_size, tokens, flops, self.trained)

    def batch(self, step: int) -> Any:
        return {} if self.actor else self.source.batch(step)

    def place(self, batch: Any) -> Any:
        return sharding.put(batch, self.plan.mesh, stacked=self.k > 1)

    def flush(self, done: int) -> None:
        """Fetches the metrics of the steps since the last flush; stops at a non-finite one."""
        rows, self.rows = jax.device_get(self.rows), []
        for i, row in enumerate(rows):
            finite.check_finite(self, row, done - (len(rows) - 1 - i) * self.k)
            self.pending.add({k: v for k, v in row.items() if not k.endswith("nonfinite")})

    def log(self, done: int, pace: Mapping[str, float]) -> None:
        """Writes the means over the steps since the last log, which are flushed, and the pace."""
        row = {**self.pending.means(), **pace, "epoch": done / self.source.steps_per_epoch}
        row = {f"train/{name}": value for name, value in row.items()}
        self.writer.write(done, row)
        self.writer.progress(done, row)
        self.observer.logged(row)
        self.pending = Sums()

    def evaluate(self, state: TrainState, done: int) -> tuple[TrainState, bool]:
        """Runs the evaluators that are due; (state, whether the watched metric is the best yet)."""
        due = [n for n, every in self.intervals.items() if done % every == 0 or done == self.total]
        if not due:
            return state, False
        self.flush(done)
        variables = experiment.for_evaluation(state.variables)
        metrics = {}
        with self.pace.paused():
            for name in due:
                results = self.evaluators[name].run(variables)
                self.writer.show(done, name, getattr(self.evaluators[name], "details", {}))
                metrics |= {f"{name}/{key}": value for key, value in results.items()}
        self.writer.write(done, metrics)
        main = {k: v for k, v in metrics.items() if k.count("/") == 1}
        self.writer.say(f"step {done} " + " ".join(f"{k} {v:.4f}" for k, v in main.items()))
        self.on_evaluation(done, metrics)
        improved = False
        if self.stopping and self.stopping.source in due:
            improved = self.stopping.update(done, metrics)
            if self.stopped and done != self.total:
                self.writer.say(
                    f"Stopped at step {done}: {self.stopping.metric} was best at step "
                    f"{self.stopping.best_step}, {self.stopping.waited} evaluations ago."
                )
        if self.plateau and self.plateau.source in due:
            self.plateau.update(done, metrics)
            if self.plateau.exhausted:
                self.scale, self.plateau.waited = self.scale * self.plateau.factor, 0
                state = state.replace(slots=optim.set_scale(state.slots, self.scale))
        return state, improved

    def save(self, state: TrainState, done: int) -> None:
        """Starts a checkpoint of a state that is finite."""
        self.flush(done)
        finite.check_state(self, state, done)
        host = {
            "scale": self.scale,
            "pending": self.pending.to_json(),
            "trained": self.pace.trained,
            "early_stopping": self.stopping.to_json() if self.stopping else None,
            "reduce_on_plateau": self.plateau.to_json() if self.plateau else None,
            "best_step": self.stopping.best_step if self.stopping else None,
        }
        with self.pace.paused():
            self.keeper.save(done, state, host, self.actor.state() if self.actor else None)

    def end(self, state: TrainState, on_stop: Callable[[], None]) -> None:
        """What the run has cost; then its last evaluations, unless it was asked to stop before."""
        self.observer.ended(self.pace.trained, self.folder.read_about()["began"])
        if self.stopped or int(state.step) == self.total:
            summary.finish(self, state)
        else:
            self.keeper.wait()
            self.writer.say(f"Asked to stop: saved step {int(state.step)}; run again to go on.")
            on_stop()

    def _steps(self, duration: str | int, what: str) -> int:
        count = self.plan.clock.steps(duration, what)
        if count % self.k:
            raise UserError(
                f"{what} is {count} steps, which config.repeat={self.k} does not divide."
            )
        return count

    def _monitor(self, key: str, kind: Callable[..., Watcher]) -> Watcher | None:
        spec = self.config[key]
        if not spec:
            return None
        try:
            monitor = kind(**spec)
        except TypeError as error:
            raise UserError(f"config.{key}: {error}.") from error
        if monitor.source not in self.intervals:
            raise UserError(
                f"config.{key}.metric {monitor.metric!r} is of no evaluator that runs during "
                f"training.{nearest(monitor.source, self.intervals)}"
            )
        return monitor
