"""What a run says of itself: at its start, and at its end."""

import datetime
import traceback

import jax
import numpy as np

from bigmodel_jax import config, experiment, writers
from bigmodel_jax.checkpoint import restore_variables
from bigmodel_jax.reports import filters, mistakes

FEW = 30  # examples whose share of right answers has a 95% interval of 30 points or more


def describe(run, state, first: int) -> None:
    """One line of what will run, and about.json."""
    leaves, devices = jax.tree.leaves(state.params), jax.devices()
    count = sum(x.size for x in leaves)
    before = run.folder.read_about() if first else {}
    origin = run.origin.origin if run.origin else before.get("init_from")
    begin = f"from {origin}" if origin else "from scratch"
    begin = f"going on from step {first}" if first else begin
    data = getattr(run.source, "reader_name", None)
    run.writer.say(
        f"{run.config['model']['name']}: {count:,} parameters in {len(leaves)} arrays; "
        f"{run.total:,} steps of {run.source.batch_size} on {len(devices)} "
        f"{devices[0].device_kind} device{'s' * (len(devices) > 1)}, {begin}; "
        f"{data or 'no data set'}, {run.source.examples:,} training examples."
    )
    if not first:
        run.writer.text(0, "config", config.to_json(run.config))
        samples = run.folder.path / "assets" / "samples.npz"
        if jax.process_index() == 0 and samples.is_file():
            with np.load(samples) as held:
                run.writer.images(0, "samples", held["image"])
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    run.folder.write_about(
        {
            "began": before.get("began", now),
            "init_from": origin,
            "data": data,
            "generated": bool(run.plan.prefix),
            "substitute": run.substitute,
            "train_examples": run.source.examples,
            "parameters": count,
            "steps": run.total,
            "batch_size": run.source.batch_size,
            "steps_per_epoch": run.source.steps_per_epoch,
        }
    )


def finish(run, state) -> None:
    """Evaluates the chosen parameters on what is kept for the end, the test split above all."""
    run.keeper.wait()  # "Done" is said of a run whose last checkpoint is on the disk
    done, chosen, variables = int(state.step), "the last step", state.variables
    if run.stopping and run.stopping.best_step is not None:
        chosen = f"step {run.stopping.best_step}, the best by {run.stopping.metric}"
        if run.stopping.best_step != done:
            best = run.keeper.folder / str(run.stopping.best_step)
            variables = restore_variables(best, run.plan.abstract.variables)
    metrics, few = {}, []
    for name in (n for n in run.evaluators if n not in run.intervals):
        results = run.folder.read_result(name)
        if results is None or (results["step"], results["chosen"]) != (done, chosen):
            evaluator = run.evaluators[name]
            numbers = evaluator.run(experiment.for_evaluation(variables))
            rest, arrays = mistakes.kept(evaluator)
            results = {"step": done, "chosen": chosen, "metrics": numbers, **rest}
            if run.writer.write_once(done, {f"{name}/{k}": v for k, v in numbers.items()}):
                run.writer.show(done, name, {**rest, **arrays})
            run.folder.write_result(name, results, arrays)
        metrics |= {f"{name}/{key}": value for key, value in results["metrics"].items()}
        if 0 < (count := results.get("examples", 0)) < FEW:
            few.append(f"{name} has only {count} example{'s' * (count > 1)}")
    if not metrics and run.stopping:  # nothing was kept for the end: what the choice was made by
        metrics = _measured(run, run.stopping.best_step)
    if metrics:
        run.writer.table(f"Results with the parameters of {chosen}:", metrics)
    if few:
        run.writer.say(f"NOTE: {', '.join(few)}: others might give quite different numbers.")
    filters.keep(run.folder.path / "assets", variables, run.source, run.plan.mesh)
    _report(run)
    if run.substitute:
        run.writer.say(f"NOTE: {run.substitute}")
    generated = f" (on {run.source.reader_name}, which is generated)" if run.plan.prefix else ""
    run.writer.say(f"Done: {run.folder.path}{generated}")


def _measured(run, step: int | None) -> dict[str, float]:
    """What the evaluators said at a step, from metrics.jsonl."""
    rows = [row for row in writers.read(run.folder.path / "metrics.jsonl") if row["step"] == step]
    named = {k.removeprefix(run.plan.prefix): v for row in rows for k, v in row.items()}
    during = tuple(f"{name}/" for name in run.intervals)
    return {k: v for k, v in named.items() if k.startswith(during) and v is not None}


def _report(run) -> None:
    """Makes report.html and its like, on the first process; a run is whole without them."""
    from bigmodel_jax.reports import make as reporting

    if jax.process_index() != 0:
        return
    try:
        run.writer.say(f"Report: {reporting.make(run.folder.path)}")
    except Exception as error:  # whatever it is, hours of training are not lost to a picture
        traceback.print_exc()
        run.writer.say(
            f"NOTE: the report could not be made ({type(error).__name__}: {error}). The run itself "
            f"is whole. To try again: python -m bigmodel_jax.report --workdir={run.folder.path}"
        )
