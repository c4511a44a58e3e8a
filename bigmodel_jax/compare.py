"""Compares runs: what differs in their configs and environments, their metrics side by side.

    python -m bigmodel_jax.compare runs/mnist runs/mnist-hidden=128-64
    python -m bigmodel_jax.compare runs/a-seed=0 runs/a-seed=1 runs/b-seed=0 runs/b-seed=1 --metric=val/accuracy

Runs of one config with several seeds are one variant, and then there are means, intervals and tests, as
in the report of an ablation. Two runs, or one a variant, are compared example by example, too, by what they
said of each (results/NAME.npz): McNemar's test and the paired bootstrap. The first run is what the others are compared with. --html=FILE writes it
as a page, too.
"""

import sys

from absl import flags

from bigmodel_jax.runtime import run_main


def define_flags() -> None:
    flags.DEFINE_multi_string("run", [], "A run's directory; they may be given as plain words.")
    flags.DEFINE_string("metric", "", "What to compare by: EVALUATOR/METRIC.")
    flags.DEFINE_string("html", "", "A file for the comparison as a page.")


def main() -> None:
    from bigmodel_jax.ablations import comparing

    options = flags.FLAGS
    comparing.perform(options.run, options.metric, options.html)


if __name__ == "__main__":
    define_flags()
    words = sys.argv[1:]
    sys.argv[1:] = [word if word.startswith("-") else f"--run={word}" for word in words]
    run_main(main)
