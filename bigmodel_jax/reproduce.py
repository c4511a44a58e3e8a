"""Runs again what configs/NAME.expected.json says was measured, and compares.

    python -m bigmodel_jax.reproduce --config=configs/mnist.py:mlp [--seeds=3]
    python -m bigmodel_jax.reproduce --all --quick=20m
    python -m bigmodel_jax.reproduce --config=configs/mnist.py:mlp --seeds=3 --record

The mean of the new runs must lie in the 95 % prediction interval of the recorded seeds (Student's t);
of one seed, whose spread nobody knows, within 1 % of its value. Outside, what differs from then (data,
device, versions, code) is said. Without a variant all of the config are run; --all is every config's,
with --quick the cheapest first, as many as the recorded minutes let into that time. --record writes the
result of the runs in place of the old one, and new ones with --metric; --readme=README.md makes the
table of results anew. Exits with 0 where all that was to run did, and passed.
"""

import datetime
import re
import sys
import time
from pathlib import Path
from typing import Any

from absl import flags

from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import find_config, run_main


def define_flags() -> None:
    flags.DEFINE_string("config", None, "What to run again: configs/NAME.py[:variant].")
    flags.DEFINE_integer("seeds", 1, "How many: seed=0, 1, ...", lower_bound=1)
    flags.DEFINE_bool("all", False, "Every result of every config.")
    flags.DEFINE_string("quick", "", "The time that --all has: 90s, 20m, 2h.")
    flags.DEFINE_string("workdir", "runs/reproduced", "The folder of the runs.")
    flags.DEFINE_bool("record", False, "Write what was measured to configs/NAME.expected.json.")
    flags.DEFINE_string("metric", "", "Of a result that is new: test/accuracy, val/loss, ...")
    flags.DEFINE_list("runs", [], "Finished runs, one a seed, in place of new ones.")
    flags.DEFINE_string("readme", "", "A page whose table of results is made anew.")


def main() -> None:
    if not reproduce(flags.FLAGS):
        sys.exit(1)


def reproduce(options: Any) -> bool:
    """Does what the flags say; whether all that was to run did, and passed."""
    if bool(options.config) + bool(options.all) + bool(options.readme) != 1:
        raise UserError(
            "--config=configs/NAME.py:variant, --all or --readme=FILE: one of the three."
        )
    for name, where in (("quick", "all"), ("record", "config"), ("runs", "config")):
        if getattr(options, name) and not getattr(options, where):
            raise UserError(f"--{name} is for --{where}.")
    from bigmodel_jax.reproducing import expected, table

    folder = Path(find_config("configs/imdb.py")).parent
    if options.readme:
        table.fill(Path(options.readme), expected.every(folder))
        return True
    if options.all:
        chosen = sorted(expected.every(folder), key=lambda result: result.minutes)
        return within(_seconds(options.quick), chosen, options)
    path, _, variant = options.config.partition(":")
    if options.record:
        _record(Path(path), variant, options)
        return True
    return all([_compare(result, options) for result in expected.find(Path(path), variant)])


def within(budget: float, chosen, options) -> bool:
    """Runs those of the results, the cheapest first, that the seconds let; whether all of them passed."""
    began, fine, skipped = time.monotonic(), True, []
    for result in chosen:
        needed = 60 * result.minutes * options.seeds
        left = budget - (time.monotonic() - began)
        if needed > left:
            skipped.append(
                f"skipped: {result.name} took {needed / 60:.1f} minutes then, and "
                f"{max(left, 0) / 60:.1f} are left"
            )
            continue
        try:
            fine &= _compare(result, options)
        except UserError as error:
            print(f"NOT RUN: {result.name}: {error}", flush=True)
            fine = False
    print("".join(f"{line}\n" for line in skipped), end="", flush=True)
    if len(skipped) == len(chosen):
        raise UserError(f"Nothing fits --quick={options.quick}.")
    return fine


def _compare(result, options) -> bool:
    """Runs the seeds of a result, says what came of them; whether they pass."""
    from bigmodel_jax.reproducing import bands, causes

    outcomes = _outcomes(result.config, result.arg, result.content["metric"], options)
    mean = sum(x.value for x in outcomes) / len(outcomes)
    band = bands.band(result.values, len(outcomes))
    passed = band.holds(mean)
    of = "seed " + ", ".join(str(x.seed) for x in outcomes)
    minutes = sum(x.minutes for x in outcomes) / len(outcomes)
    print(
        f"{'pass' if passed else 'FAIL'}: {result.name} {result.content['metric']} "
        f"{result.shown(mean)} ({of}), expected {result.shown(band.low)} to "
        f"{result.shown(band.high)} ({band.rule}); {minutes:.1f} minutes a seed, then "
        f"{result.minutes:.1f}"
    )
    then = result.content["values"]
    same = [x.seed for x in outcomes if round(x.value, 6) == then.get(str(x.seed))]
    if same:
        print(f"  seed {', '.join(map(str, same))}: the recorded value, to its last digit")
    if not passed:
        found = causes.causes(result.content, outcomes[-1]) or ["no known cause"]
        print("".join(f"  probable cause: {cause}\n" for cause in found), end="")
    sys.stdout.flush()
    return passed


def _outcomes(config: Path, arg, metric: str, options):
    """What the runs gave: those of --runs, or one for each seed, run now."""
    from bigmodel_jax.reproducing import running

    if options.runs:
        return [running.read(Path(path).expanduser(), metric) for path in options.runs]
    outcomes = []
    for seed in range(options.seeds):
        workdir = running.folder_of(config, arg(seed), options.workdir)
        if running.finished(workdir, metric):  # left alone: it says itself of which code it is
            print(f"NOTE: {workdir} was run before; remove it to run it again.", flush=True)
        else:
            running.run(config, arg(seed), workdir, options.data_dir)
        outcomes.append(running.read(workdir, metric))
    return outcomes


def _record(config: Path, variant: str, options) -> None:
    """Runs the seeds, and writes what they gave."""
    from bigmodel_jax.reproducing import expected

    if not variant:
        raise UserError(f"Which variant of {config.name} to record? --config={config}:VARIANT.")
    known = next((x for x in expected.read(config) if x.variant == variant), None)
    metric = options.metric or (known.content["metric"] if known else "")
    if not metric:
        raise UserError(f"{config.name}:{variant} has no result yet: --metric=test/accuracy, say.")
    command = f"python -m bigmodel_jax.main --config=configs/{config.name}:{variant},seed=SEED"
    command = known.content["command"] if known else command
    given = {"metric": metric, "command": command}
    outcomes = _outcomes(config, expected.Expected(config, variant, given).arg, metric, options)
    date = datetime.date.today().isoformat()
    result = expected.entry(metric, command, outcomes, date)
    file = expected.write(config, variant, result)
    print(f"{file}: {variant} {expected.Expected(config, variant, result).spread()}")


def _seconds(text: str) -> float:
    """Of "90s", "20m" or "2h"; without any, all the time there is."""
    if not text:
        return float("inf")
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text)
    if not match:
        raise UserError(f"--quick={text!r} is no time such as 90s, 20m or 2h.")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


if __name__ == "__main__":
    define_flags()
    run_main(main)
