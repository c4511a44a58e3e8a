"""Evaluates a run's chosen parameters on a split of its data.

    python -m bigmodel_jax.evaluate --workdir=runs/imdb --split=test
    python -m bigmodel_jax.evaluate --workdir=runs/imdb --split="test[:1000]"
    python -m bigmodel_jax.evaluate --workdir=runs/imdb --slices=length,label
    python -m bigmodel_jax.evaluate --workdir=runs/imdb --calibrate=val

The numbers are those of the run itself, bit for bit on the same devices. They go to
results/SPLIT.json of the run, with the most confident mistakes, unless they are there already; what
the model said of each example goes to results/SPLIT.npz. `report` then shows them. The files of a
slice are called as in these examples:

    test[:1000]  test_-to-1000    train[fold 2/5]   train_fold_2of5
    test[10%:]   test_10pct-to-   test[hash :90%]   test_hash-to-90pct
"""

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from bigmodel_jax.errors import UserError
from bigmodel_jax.evals import calibration
from bigmodel_jax.reports import calibrations, mistakes, sliced
from bigmodel_jax.reports.page import to_console
from bigmodel_jax.runtime import DATA_DIR, run_main
from bigmodel_jax.writers import print_table


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "The directory of the run to evaluate.")
    flags.DEFINE_string("split", "test", "One of config.data.splits, or a slice: test[:1000].")
    flags.DEFINE_integer(
        "batch_size", None, "Examples computed at once; by default as in the run.", lower_bound=1
    )
    flags.DEFINE_list(
        "slices", [], "Fields to cut the examples by: label, length, or a column of the data."
    )
    flags.DEFINE_string(
        "calibrate", "", "A validation split that a temperature and thresholds are chosen on."
    )


def main() -> None:
    options = flags.FLAGS
    if not options.workdir:
        raise UserError("--workdir=DIR says which run to evaluate, and is missing.")
    given = options.workdir, options.split, DATA_DIR.value, options.batch_size
    result = evaluate(*given, options.slices, options.calibrate)
    written = record(options.workdir, result)
    examples = f"{result['details']['examples']:,} examples"
    print(f"{result['name']}: {examples}, parameters of {result['chosen']}")
    prefix = f"{result['prefix']}{result['name']}/"
    print_table({prefix + key: value for key, value in result["metrics"].items()})
    told = [*sliced.tables(result["details"]), *calibrations.parts(result["details"])]
    print(to_console(told), end="")
    print(written)


def evaluate(
    workdir: str,
    split: str = "test",
    data_dir: str | None = None,
    batch_size: int | None = None,
    slices: Sequence[str] = (),
    calibrate: str = "",
) -> dict[str, Any]:
    """What an evaluator of the run says of a split.

    Args:
        slices: fields to cut the examples by, see evals/slices.py.
        calibrate: a validation split, see evals/calibration.py.

    Returns:
        "name" (of the evaluator, or the split), "prefix" (of generated data), "step" (how far the
        run is), "chosen" (its parameters), "metrics" (numbers by name) and "details" (examples,
        mistakes, probabilities, ...).

    Raises:
        UserError: no such split, the data are not here, or are not those of the run; nothing may be
            chosen on `calibrate`.
    """
    from bigmodel_jax import experiment
    from bigmodel_jax.apply import load
    from bigmodel_jax.checkpoint import all_steps
    from bigmodel_jax.config import build
    from bigmodel_jax.data.prepared import default_data_dir

    data_dir = data_dir or default_data_dir()
    with load(workdir) as run:
        open_source = functools.partial(
            experiment.open_source, run.config, data_dir, training=False
        )

        def evaluated(split: str, **options: Any) -> tuple[str, Any, dict[str, float]]:
            """(name, evaluator, metrics)."""
            fitting = {n: s for n, s in run.config["evals"].items() if s.get("split") == split}
            name = split if split in fitting else next(iter(fitting), split)
            usual = getattr(run.task, "evaluator", "classification")
            spec = {"name": usual, "split": split, **fitting.get(name, {})}
            spec.pop("every", None)
            spec |= {key: value for key, value in options.items() if value}
            evaluator = build("evals", spec, task=run.task, open_source=open_source, mesh=run.mesh)
            return name, evaluator, evaluator.run(run.variables)

        if calibrate:
            check_calibration(run.config, getattr(run.task, "target", "class"), split, calibrate)
        name, evaluator, metrics = evaluated(split, batch_size=batch_size, slices=slices)
        source, (rest, arrays) = evaluator.source, mistakes.kept(evaluator)
        if calibrate:
            _, fitted, _ = evaluated(calibrate, batch_size=batch_size)
            pairs = [(x["probabilities"], x["labels"]) for x in (fitted.details, arrays)]
            rest[f"{calibrations.ON}{calibrate}"] = calibration.calibrated(*pairs)
        return {
            "name": name,
            "prefix": f"{source.reader_name}/" if source.synthetic else "",
            "step": max(all_steps(Path(workdir).expanduser() / "checkpoints")),
            "chosen": f"step {run.step}",
            "metrics": metrics,
            "details": {**rest, **arrays},
        }


def check_calibration(config: Mapping, target: str, split: str, calibrate: str) -> None:
    """Raises a UserError where nothing may be chosen on `calibrate`, or there is nothing to be chosen."""
    splits = config["data"].get("splits", {})
    if target != "class":
        raise UserError(
            f"--calibrate is of classes, and the run's target is {target!r}: leave it out."
        )
    own = [name for name in splits if name != "train" and not splits[name].startswith("test")]
    if calibrate not in own:
        there = f"there is {' or '.join(map(repr, own))}" if own else "this run has none"
        raise UserError(
            f"--calibrate={calibrate} is no split of config.data.splits that the run has neither learnt "
            f"from nor is tested on: {there}."
        )
    same = splits[calibrate].partition("[")[0] == splits.get(split, split).partition("[")[0]
    if split == calibrate or (same and split not in splits):
        raise UserError(
            f"What is chosen on {calibrate!r} is to be judged by other examples, and --split={split} may "
            "have the same."
        )


def record(workdir: str, result: dict[str, Any]) -> str:
    """Writes results/NAME.json and NAME.npz, unless the run is no further than what they hold.

    Of the same numbers, it adds what an older version did not write.

    Returns:
        A sentence about what was done.
    """
    from bigmodel_jax.rundir import RunDir

    run = RunDir(workdir)
    name = file_name(result["name"])
    path = run.path / "results" / f"{name}.json"
    old, metrics = run.read_result(name), result["metrics"]
    rest, arrays = mistakes.split(result["details"])
    head = {key: result[key] for key in ("step", "chosen", "metrics")}
    there = old["metrics"] if old else {}
    other = [f"{k} {v} -> {metrics.get(k)}" for k, v in there.items() if metrics.get(k) != v]
    if old and other and old["step"] == result["step"]:
        return f"{path} holds other numbers, and is left as it is: {'; '.join(other)}."
    if old and not other:
        whole = there.keys() == metrics.keys() and rest.keys() <= old.keys()
        if whole and (not arrays or path.with_suffix(".npz").is_file()):
            return f"{path} holds the same numbers."
        head = {**old, "metrics": metrics}
    run.write_result(name, {**head, **rest}, arrays)
    return f"Written to {path}."


def file_name(name: str) -> str:
    """What files of an evaluator or a split are called: slices that differ have names that differ.

    Of a slice "[" becomes "_", ":" "-to-", "%" "pct" and "/" "of"; any other character that may be
    no part of a file's name becomes "~" and its code point.
    """
    split, bracket, part = name.partition("[")
    part = re.sub(r"\s*([:/%\]])\s*", r"\1", part.strip()).removesuffix("]")
    part = re.sub(r"\s+", "_", part)
    for sign, word in ((":", "-to-"), ("%", "pct"), ("/", "of")):
        part = part.replace(sign, word)
    whole = split.strip() + "_" * len(bracket) + part
    return re.sub(r"[^\w.-]", lambda match: f"~{ord(match[0]):x}", whole)


if __name__ == "__main__":
    define_flags()
    run_main(main)
