"""The training loop: one for every task.

config -> source, task, step           what to train (experiment.py)
       -> state                        this run's checkpoint, else fresh
       -> update, update, update, ...  each followed by log, evaluation, checkpoint when due
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from bigmodel_jax import experiment, optim, sharding, steps
from bigmodel_jax.checkpoint import Checkpointer, restore_variables
from bigmodel_jax.config import build, complete
from bigmodel_jax.data.prefetch import Prefetch
from bigmodel_jax.data.prepared import default_data_dir
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.experiment import Plan
from bigmodel_jax.metrics import Sums
from bigmodel_jax.monitor import Monitor
from bigmodel_jax.pace import Pace
from bigmodel_jax.preemption import Preemption
from bigmodel_jax.rundir import RunDir
from bigmodel_jax.steps import TrainState
from bigmodel_jax.trees import flatten
from bigmodel_jax.writers import Writer


def train(
    config: Mapping,
    workdir: str,
    *,
    data_dir: str | None = None,
    allow_changed_config: bool = False,
) -> TrainState:
    """Trains as `config` says, going on from `workdir` if it holds a checkpoint.

    Returns:
        The last state. What was measured is in the run's directory.

    Raises:
        UserError: bad input, a damaged checkpoint, a non-finite loss, a full disk.
    """
    data_dir = data_dir or default_data_dir()
    config = complete(config)
    mesh = sharding.make_mesh(config["mesh"])
    with RunDir(workdir) as run, sharding.use(mesh, config["rules"]):
        config["data"], substitute = resolve_data(
            config["data"], data_dir=data_dir, num_processes=jax.process_count()
        )
        plan = experiment.make_plan(config, data_dir, mesh)
        run.claim(plan.config, allow_changed_config)
        if hasattr(plan.source, "save_assets") and jax.process_index() == 0:
            plan.source.save_assets(run.path / "assets")
        with (
            Checkpointer(run.path / "checkpoints", plan.clock, **config["checkpoint"]) as keeper,
            Preemption() as preemption,
        ):
            return _Run(plan, run, keeper, preemption, data_dir, substitute).go()


class _Run:
    """The parts of a run that its loop works with."""

    def __init__(self, plan: Plan, run, keeper, preemption, data_dir, substitute):
        self.plan, self.run, self.keeper, self.preemption = plan, run, keeper, preemption
        self.config, self.source, self.mesh = plan.config, plan.source, plan.mesh
        self.substitute = substitute
        self.total, self.k = plan.clock.total or 0, self.config["repeat"]
        self.log_every = self._steps(self.config["log_every"], "config.log_every")
        self.actor = self.source if self.config["actor"] else None
        self.evaluators, self.intervals = {}, {}
        for name, spec in self.config["evals"].items():

            def open_source(split, batch_size):
                return experiment.open_source(
                    self.config, data_dir, split=split, training=False, batch_size=batch_size
                )

            self.evaluators[name] = build(
                "evals", spec, task=plan.task, open_source=open_source, mesh=plan.mesh
            )
            if spec["every"] != "end":
                self.intervals[name] = self._steps(spec["every"], f"config.evals.{name}.every")
        self.stopping = self._monitor("early_stopping")
        plateau = dict(self.config["reduce_on_plateau"])
        self.factor = plateau.pop("factor", 0.5)
        self.plateau = self._monitor("reduce_on_plateau", plateau)
        self.scale = 1.0
        self.pending, self.stopped = Sums(), False
        self.rows: list[Any] = []

    def go(self) -> TrainState:
        state = self.start()
        first = int(state.step)
        prefix = f"{self.source.reader_name}/" if getattr(self.source, "synthetic", False) else ""
        main = jax.process_index() == 0
        with Writer(self.run.path, first, self.total, prefix, quiet=not main) as self.writer:
            self.describe(state, first)
            state = self.loop(state, first)
            if self.stopped or int(state.step) == self.total:
                self.finish(state)
        return state

    def start(self) -> TrainState:
        """This run's newest whole checkpoint, else a fresh state."""
        step = self.keeper.find()
        if step is None:
            return experiment.fresh_state(self.plan)
        actor = self.actor.state() if self.actor else None
        state, host, actor = self.keeper.restore(step, self.plan.abstract, actor)
        if self.actor:
            self.actor.restore(actor)
        self.stopped, self.scale = host["stopped"], host["scale"]
        self.pending = Sums.from_json(host["pending"])
        if self.stopping:
            self.stopping = Monitor(**host["early_stopping"])
        if self.plateau:
            self.plateau = Monitor(**host["reduce_on_plateau"])
        return state

    def loop(self, state: TrainState, first: int) -> TrainState:
        """Updates until the end, an early stop or a preemption."""
        update, store = self.compiled()
        act = jax.jit(self.plan.task.act) if self.actor else None
        rng = jax.random.key(self.config["seed"])
        last = first if self.stopped else self.total
        self.pace = Pace(first, self.source.batch_size)

        with Prefetch(self.batch, self.place, first, last, self.k, busy=self.busy) as batches:
            for done, batch in zip(range(first + self.k, last + 1, self.k), batches, strict=True):
                if self.actor:
                    batch = self.place(self.actor.collect(act, state.variables, done - self.k))
                state, row = update(state, batch, rng, store)
                self.rows.append(row)

                logging = done % self.log_every == 0 or done == last
                if logging:
                    self.log(done, batches.waited)
                state, improved = self.evaluate(state, done)
                preempted = self.preemption.requested(done)
                ended = done == last or self.stopped or preempted
                if improved or ended or self.keeper.due(done, logging):
                    self.save(state, done)
                if preempted and done != last:
                    self.keeper.wait()
                    self.writer.say(
                        f"Asked to stop (SIGTERM): saved step {done}; run again to go on."
                    )
                if ended:
                    break
        return state

    def log(self, done: int, waited: float) -> None:
        """Writes the means over the steps since the last log, and the pace."""
        self.flush(done)
        pace = self.pace.lap(done, waited)
        row = {**self.pending.means(), **pace, "epoch": done / self.source.steps_per_epoch}
        row = {f"train/{name}": value for name, value in row.items()}
        self.writer.write(done, row)
        self.writer.progress(done, row)
        self.pending = Sums()

    def compiled(self):
        """(`update(state, batch, rng, store) -> (state, metrics)`, the resident data or nothing)."""
        resident = getattr(self.source, "resident", False)
        layout = jax.tree.map(lambda x: x.sharding, self.plan.abstract)

        def update(state, batch, rng, store):
            step = self.plan.step
            if resident:
                step = steps.before(lambda rows: self.source.assemble(store, rows), step)
            step = steps.counted(step)
            step = steps.repeat(self.k, step) if self.k > 1 else step
            return step.update(state, batch, rng)

        # Pinned: otherwise XLA may choose other shardings after the first step, and a resumed run
        # would no longer have the bits of an uninterrupted one.
        jitted = jax.jit(update, donate_argnums=0, out_shardings=(layout, None))
        store = sharding.replicate(self.source.store(), self.mesh) if resident else ()
        return jitted, store

    def busy(self) -> bool:
        """Whether the device has not finished the last step that was sent to it."""
        return bool(self.rows) and not jax.tree.leaves(self.rows[-1])[0].is_ready()

    def batch(self, step: int):
        return {} if self.actor else self.source.batch(step)

    def place(self, batch):
        return sharding.put(batch, self.mesh, stacked=self.k > 1 and not self.actor)

    def flush(self, done: int) -> None:
        """Fetches the metrics of the steps since the last flush; stops at a non-finite one."""
        rows, self.rows = jax.device_get(self.rows), []
        for i, row in enumerate(rows):
            bad = [k for k, v in row.items() if not np.all(np.isfinite(v.total))]
            flags = {k: v.total for k, v in row.items() if k.endswith("nonfinite")}
            if bad or any(np.any(v) for v in flags.values()):
                self.fail(done - (len(rows) - 1 - i) * self.k, bad, flags)
            self.pending.add({k: v for k, v in row.items() if k not in flags})

    def fail(self, step: int, bad: list[str], flags: Mapping[str, np.ndarray]) -> None:
        """Names the step, the metrics and the parameters that are not finite."""
        self.keeper.wait()
        saved = self.keeper.find()
        kept = f"the checkpoint of step {saved} is intact" if saved else "nothing was saved before"
        paths = list(flatten(self.plan.abstract.params))
        params = []
        for flag in flags.values():
            hits = np.logical_or.reduce(flag.reshape(-1, len(paths)))
            params += [paths[i] for i in np.flatnonzero(hits)]
        where = f" The gradients of {', '.join(params[:5])} are not finite." if params else ""
        within = f"step {step}" if self.k == 1 else f"steps {step - self.k + 1} to {step}"
        raise UserError(
            f"Training stopped at {within}: {', '.join(sorted(bad)) or 'a gradient'} is not finite."
            f"{where} No later state was saved; {kept}. Try a lower config.optimizer.lr or "
            "config.optimizer.clip, and look for NaN in the data."
        )

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
                metrics |= {f"{name}/{key}": value for key, value in results.items()}
        self.writer.write(done, metrics)
        main = {k: v for k, v in metrics.items() if k.count("/") == 1}
        self.writer.say(f"step {done} " + " ".join(f"{k} {v:.4f}" for k, v in main.items()))
        improved = False
        if self.stopping and self.stopping.metric.split("/")[0] in due:
            improved = self.stopping.update(done, metrics)
            self.stopped = self.stopping.exhausted
        if self.plateau and self.plateau.metric.split("/")[0] in due:
            self.plateau.update(done, metrics)
            if self.plateau.exhausted:
                self.scale, self.plateau.waited = self.scale * self.factor, 0
                state = state.replace(slots=optim.set_scale(state.slots, self.scale))
        return state, improved

    def save(self, state: TrainState, done: int) -> None:
        self.flush(done)
        host = {
            "stopped": self.stopped,
            "scale": self.scale,
            "pending": self.pending.to_json(),
            "early_stopping": self.stopping.to_json() if self.stopping else None,
            "reduce_on_plateau": self.plateau.to_json() if self.plateau else None,
            "best_step": self.stopping.best_step if self.stopping else None,
        }
        with self.pace.paused():
            self.keeper.save(done, state, host, self.actor.state() if self.actor else None)

    def finish(self, state: TrainState) -> None:
        """Evaluates the chosen parameters on what is kept for the end, the test split above all."""
        done, chosen, variables = int(state.step), "the last step", state.variables
        if self.stopping and self.stopping.best_step is not None:
            chosen = f"step {self.stopping.best_step}, the best by {self.stopping.metric}"
            if self.stopping.best_step != done:
                self.keeper.wait()
                best = self.keeper.folder / str(self.stopping.best_step)
                variables = restore_variables(best, self.plan.abstract.variables)
        metrics = {}
        for name in (n for n in self.evaluators if n not in self.intervals):
            results = self.run.read_result(name)
            if results is None or (results["step"], results["chosen"]) != (done, chosen):
                numbers = self.evaluators[name].run(experiment.for_evaluation(variables))
                details = getattr(self.evaluators[name], "details", {})
                kept = {k: v for k, v in details.items() if not isinstance(v, np.ndarray)}
                results = {"step": done, "chosen": chosen, "metrics": numbers, **kept}
                self.writer.write(done, {f"{name}/{k}": v for k, v in numbers.items()})
                self.run.write_result(name, results)
            metrics |= {f"{name}/{key}": value for key, value in results["metrics"].items()}
        if metrics:
            self.writer.table(f"Results with the parameters of {chosen}", metrics)
        if self.substitute:
            self.writer.say(f"NOTE: {self.substitute}")
        self.writer.say(f"Done: {self.run.path}")

    def describe(self, state: TrainState, first: int) -> None:
        """One line of what will run."""
        leaves = jax.tree.leaves(state.params)
        count = sum(x.size for x in leaves)
        devices = jax.devices()
        begin = f"going on from step {first}" if first else "from scratch"
        if self.substitute:
            self.writer.say("=" * 80 + f"\n{self.substitute}\n" + "=" * 80)
        self.writer.say(
            f"{self.config['model']['name']}: {count:,} parameters in {len(leaves)} arrays; "
            f"{self.total:,} steps of {self.source.batch_size} on {len(devices)} "
            f"{devices[0].device_kind} device{'s' * (len(devices) > 1)}, {begin}; "
            f"{getattr(self.source, 'reader_name', 'no data set')}, "
            f"{self.source.examples:,} training examples."
        )

    def _steps(self, duration, what):
        count = self.plan.clock.steps(duration, what)
        if count % self.k:
            raise UserError(
                f"{what} is {count} steps, which config.repeat={self.k} does not divide."
            )
        return count

    def _monitor(self, key: str, spec: Mapping | None = None) -> Monitor | None:
        spec = self.config[key] if spec is None else spec
        if not spec:
            return None
        if "metric" not in spec or spec["metric"].split("/")[0] not in self.intervals:
            raise UserError(
                f"config.{key}.metric {spec.get('metric')!r} is of no evaluator that runs during "
                f"training.{nearest(str(spec.get('metric')).split('/')[0], self.intervals)}"
            )
        try:
            return Monitor(**spec)
        except TypeError as error:
            raise UserError(f"config.{key}: {error}.") from error
