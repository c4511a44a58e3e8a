"""Looks for a learning rate: one short run whose rate rises exponentially, and a plot of its loss.

    python -m bigmodel_jax.lr_range --config=configs/mnist.py:cnn
    python -m bigmodel_jax.lr_range --config=configs/imdb.py:textcnn --low=1e-5 --high=1 --steps=300

The run is the config's, but for its length, its rate and its evaluations; it lies in WORKDIR, with
lr_range.png. Only training examples are looked at. docs/ablations.md says how to read it.
"""

from pathlib import Path

from absl import flags

from bigmodel_jax.runtime import DATA_DIR, default_workdir, define_config, read_config, run_main


def define_flags() -> None:
    define_config("train")
    flags.DEFINE_string("workdir", None, "Where all goes; by default runs/<config>-lr-range.")
    flags.DEFINE_float("low", 1e-6, "The rate of the first step.")
    flags.DEFINE_float("high", 10.0, "The rate of the last step.")
    flags.DEFINE_integer("steps", 200, "How many.")


def main() -> None:
    from ml_collections import config_flags

    options, given = flags.FLAGS, read_config("train")
    from bigmodel_jax.ablations import lr_range
    from bigmodel_jax.data.prepared import default_data_dir

    name = config_flags.get_config_filename(flags.FLAGS["config"])
    workdir = Path(options.workdir or f"{default_workdir(name)}-lr-range").expanduser().absolute()
    data_dir = DATA_DIR.value or default_data_dir()
    found = lr_range.perform(given, workdir, data_dir, options.low, options.high, options.steps)
    print("\n".join([*lr_range.in_words(found), f"{workdir / 'lr_range.png'} shows it."]))


if __name__ == "__main__":
    define_flags()
    run_main(main)
