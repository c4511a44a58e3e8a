"""Trains, evaluates and saves a model.

    python -m bigmodel_jax.main --config=configs/imdb.py[:variant][,tiny][,key=value] [--workdir=DIR]

The same command again continues the run. `--config.optimizer.lr=1e-3` sets any key. On a CPU the
command executes itself anew once with a tuned allocator; BIGMODEL_ALLOCATOR=default leaves it alone.
On several processes or machines: launch/, docs/launch.md.
"""

import sys

from absl import flags
from ml_collections import config_flags

from bigmodel_jax.runtime import DATA_DIR, default_workdir, define_config, read_config, run_main

define_config("train")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where the run lives; by default runs/<config>[-<variant>]."
)
_ALLOW = flags.DEFINE_bool(
    "allow_changed_config", False, "Go on with a run although its config has changed."
)
_PROFILE = flags.DEFINE_string(
    "profile", "", "Steps to trace for XProf or TensorBoard, such as 100:110; see WORKDIR/profile."
)
_HANG = flags.DEFINE_float(
    "hang_minutes", 30.0, "Show what all threads do after so long without a step; 0 is never."
)
_STOPPED = flags.DEFINE_integer(
    "stopped_exit_code", 0, "Exit code of a run asked to stop before its end; launchers take 75."
)


def main() -> None:
    config, code = read_config("train"), 0
    from bigmodel_jax import processes
    from bigmodel_jax.train import train

    workdir = _WORKDIR.value or default_workdir(
        config_flags.get_config_filename(flags.FLAGS["config"])
    )

    def stopped():
        nonlocal code
        code = _STOPPED.value

    with processes.joined({"config": config, "workdir": workdir}):
        train(
            config,
            workdir,
            data_dir=DATA_DIR.value,
            allow_changed_config=_ALLOW.value,
            profile=_PROFILE.value,
            hang_minutes=_HANG.value,
            on_stop=stopped,
        )
    if code:
        sys.exit(code)


if __name__ == "__main__":
    run_main(main)
