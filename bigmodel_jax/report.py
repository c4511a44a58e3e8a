"""Makes the report of a run: plots/, report.md and report.html, from its directory alone.

    python -m bigmodel_jax.report --workdir=runs/imdb

A run makes its own at its end; this makes it anew, e.g. after `evaluate` has added a split.
"""

from absl import flags

from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import run_main


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "The directory of the run.")


def main() -> None:
    if not flags.FLAGS.workdir:
        raise UserError("--workdir=DIR says which run to report, and is missing.")
    from bigmodel_jax.reports import make as reporting

    print(reporting.make(flags.FLAGS.workdir))


if __name__ == "__main__":
    define_flags()
    run_main(main)
