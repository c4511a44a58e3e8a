"""Runs variants of a config with several seeds, and says what may be concluded.

    python -m bigmodel_jax.ablate --config=configs/mnist.py:val --grid=optimizer.lr=1e-2,3e-2 --seeds=3
    python -m bigmodel_jax.ablate --config=... --diff='no dropout: model.dropout=0.0' --diff=ema=0.99 --seeds=5
    python -m bigmodel_jax.ablate --config=...           what the file's get_ablations() returns
    python -m bigmodel_jax.ablate --config=... --search=tpe --trials=30 --space='optimizer.lr=1e-4..1e-1 log'

Every trial is an ordinary run in WORKDIR/trials. The same command again goes on where it stopped, and
runs nothing twice. It ends with WORKDIR/report.md and report.html. docs/ablations.md says more.
"""

import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import DATA_DIR, default_workdir, define_config, read_config, run_main


def define_flags() -> None:
    define_config("vary")
    flags.DEFINE_string("workdir", None, "Where all goes; by default runs/<config>-ablation.")
    flags.DEFINE_multi_string(
        "grid", [], "KEY=VALUE,VALUE,...; given several times, all combinations."
    )
    flags.DEFINE_multi_string("zip", [], "'KEY=A,B; KEY=C,D': A with C, B with D.")
    flags.DEFINE_multi_string(
        "diff", [], "'[NAME:] KEY=VALUE[; KEY=VALUE]': one difference from the config as it is."
    )
    flags.DEFINE_integer("seeds", 1, "Of each variant: the config's own and those after it.")
    flags.DEFINE_integer(
        "folds", 0, "Cross-validation: a trial a fold of the training part, in place of seeds."
    )
    flags.DEFINE_string("baseline", "", "The variant that the others are tested against.")
    flags.DEFINE_string("metric", "", "What the report is by: EVALUATOR/METRIC.")
    flags.DEFINE_integer("processes", 1, "Trials at a time, each in a process of its own.")
    flags.DEFINE_bool(
        "stacked", False, "Train seeds as one program, with variants that differ in numbers alone."
    )
    flags.DEFINE_enum(
        "search", None, ["tpe", "random", "grid"], "Let Optuna choose in --space, by --metric."
    )
    flags.DEFINE_multi_string(
        "space", [], "KEY=LOW..HIGH, 'KEY=LOW..HIGH log' or KEY=VALUE,VALUE,..."
    )
    flags.DEFINE_integer("trials", None, "Of a search; by default 20, of a grid all.")
    flags.DEFINE_bool("prune", True, "End what falls behind the median of a search's trials.")
    flags.DEFINE_bool("retry", False, "Run again what has failed.")
    flags.DEFINE_bool("allow_changed_code", False, "Count what was run with other code.")
    flags.DEFINE_bool("dry_run", False, "List the trials with their numbers, and run nothing.")
    flags.DEFINE_integer("only_trial", None, "The one of this number, and no report: for arrays.")
    flags.DEFINE_integer("stopped_exit_code", 0, "When asked to stop; launchers take 75.")


def main() -> None:
    options = flags.FLAGS
    if options.search and options.folds:
        raise UserError(
            "--search chooses by config.evals.val, and --folds is not of it: leave one out."
        )
    given = read_config("vary")
    if options.search and options.stacked:
        raise UserError(
            "--stacked trains trials in step, and --search chooses one after the other."
        )
    from bigmodel_jax.ablations import ablation, config_file, running, searching
    from bigmodel_jax.data.prepared import default_data_dir

    holder = flags.FLAGS["config"]
    name = config_flags.get_config_filename(holder)
    overridden = config_flags.get_override_values(holder)
    kind = "search" if options.search else "ablation"
    workdir = Path(options.workdir or f"{default_workdir(name)}-{kind}").expanduser().absolute()
    file = config_file.ConfigFile(name, given, overridden)
    perform = searching.perform if options.search else ablation.perform
    try:
        perform(file, workdir, options, DATA_DIR.value or default_data_dir())
    except running.Stopped:
        print("Asked to stop: the same command again goes on.", flush=True)
        sys.exit(options.stopped_exit_code)


if __name__ == "__main__":
    define_flags()
    run_main(main)
