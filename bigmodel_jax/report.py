"""What a run says of itself: at its start, at its end, and when its numbers are no numbers."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import experiment
from bigmodel_jax.checkpoint import all_steps, restore_variables
from bigmodel_jax.errors import UserError
from bigmodel_jax.trees import flatten


def describe(run, state, first: int) -> None:
    """One line of what will run."""
    leaves, devices = jax.tree.leaves(state.params), jax.devices()
    count = sum(x.size for x in leaves)
    begin = f"going on from step {first}" if first else "from scratch"
    run.writer.say(
        f"{run.config['model']['name']}: {count:,} parameters in {len(leaves)} arrays; "
        f"{run.total:,} steps of {run.source.batch_size} on {len(devices)} "
        f"{devices[0].device_kind} device{'s' * (len(devices) > 1)}, {begin}; "
        f"{getattr(run.source, 'reader_name', 'no data set')}, "
        f"{run.source.examples:,} training examples."
    )


def finish(run, state, substitute: str | None) -> None:
    """Evaluates the chosen parameters on what is kept for the end, the test split above all."""
    run.keeper.wait()  # "Done" is said of a run whose last checkpoint is on the disk
    done, chosen, variables = int(state.step), "the last step", state.variables
    if run.stopping and run.stopping.best_step is not None:
        chosen = f"step {run.stopping.best_step}, the best by {run.stopping.metric}"
        if run.stopping.best_step != done:
            best = run.keeper.folder / str(run.stopping.best_step)
            variables = restore_variables(best, run.plan.abstract.variables)
    metrics = {}
    for name in (n for n in run.evaluators if n not in run.intervals):
        results = run.folder.read_result(name)
        if results is None or (results["step"], results["chosen"]) != (done, chosen):
            numbers = run.evaluators[name].run(experiment.for_evaluation(variables))
            details = getattr(run.evaluators[name], "details", {})
            kept = {k: v for k, v in details.items() if not isinstance(v, np.ndarray)}
            results = {"step": done, "chosen": chosen, "metrics": numbers, **kept}
            run.writer.write_once(done, {f"{name}/{k}": v for k, v in numbers.items()})
            run.folder.write_result(name, results)
        metrics |= {f"{name}/{key}": value for key, value in results["metrics"].items()}
    if metrics:
        run.writer.table(f"Results with the parameters of {chosen}:", metrics)
    if substitute:
        run.writer.say(f"NOTE: {substitute}")
    generated = f" (on {run.source.reader_name}, which is generated)" if run.plan.prefix else ""
    run.writer.say(f"Done: {run.folder.path}{generated}")


def check_finite(run, row: Mapping[str, Any], step: int) -> None:
    """Stops at fetched metrics that are not finite, and names the gradients that are not."""
    bad = {k for k, v in row.items() if not np.all(np.isfinite(v.total))}
    flags = [v.total for k, v in row.items() if k.endswith("nonfinite")]
    if bad or any(np.any(flag) for flag in flags):
        paths, wrong = list(flatten(run.plan.abstract.params)), set()
        for flag in flags:
            hits = np.logical_or.reduce(np.reshape(flag, (-1, len(paths))))
            wrong |= {paths[i] for i in np.flatnonzero(hits)}
        _check_data(run, range(step - run.k, step))
        within = f"step {step}" if run.k == 1 else f"steps {step - run.k + 1} to {step}"
        what = f"{', '.join(sorted(bad)) or 'a gradient'} is not finite at {within}"
        _stop(run, what, "The gradients of", wrong)


def _check_data(run, steps: range) -> None:
    """Stops with the rows of a batch that hold NaN or infinity; batches can always be made again."""
    for step in steps:
        batch = run.batch(step)
        for key in batch if isinstance(batch, Mapping) else ():
            values = np.asarray(batch[key])
            if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
                bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
                rows = ", ".join(map(str, np.flatnonzero(bad)[:5]))
                raise UserError(
                    f"The data are not finite: {key!r} of the batch of step {step + 1} holds NaN or "
                    f"infinity in row {rows}. {_kept(run)} Mend the data and run again."
                )


def check_state(run, state, step: int) -> None:
    """Stops before a state that is not finite would take a good checkpoint's place."""
    finite = jax.device_get(_finite(state.variables))
    wrong = {path.removeprefix("params/") for path, fine in finite.items() if not fine}
    if wrong:
        _stop(run, f"The parameters are not finite after step {step}", "", wrong)


@jax.jit
def _finite(tree):
    floats = {k: x for k, x in flatten(tree).items() if jnp.issubdtype(x.dtype, jnp.floating)}
    return {path: jnp.isfinite(x).all() for path, x in floats.items()}


def _stop(run, what, whose, paths):
    kept = _kept(run)
    named = ", ".join(sorted(paths)[:5]) + (", ..." if len(paths) > 5 else "")
    which = f" {whose} {named} are not finite.".replace("  ", " ") if paths else ""
    raise UserError(
        f"Training stopped: {what}.{which} {kept} Try a lower "
        "config.optimizer.lr or config.optimizer.clip, and look for NaN in the data."
    )


def _kept(run):
    run.keeper.wait()
    saved = max(all_steps(run.keeper.folder), default=None)
    kept = f"the checkpoint of step {saved} is intact" if saved else "none was saved before"
    return f"This state was not saved; {kept}."
