"""Makes plain parameters of a LoRA run: W + (alpha / rank) a @ b in place of W, a and b.

    python -m bigmodel_jax.merge --workdir=runs/imdb-lora --output=runs/imdb-merged

The result is the directory of a run whose model answers as the other's does, for `predict`,
`evaluate` and `config.init_from`: the chosen checkpoint, a config of the inner task, the assets. It
is not made to be trained on, and reads no data. All parameters pass through this machine's memory.
"""

import shutil
from pathlib import Path

from absl import flags

from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import run_main


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "The directory of the LoRA run.")
    flags.DEFINE_string("output", None, "The directory to write, which must not be there yet.")


def main() -> None:
    options = flags.FLAGS
    for name in ("workdir", "output"):
        if not options[name].value:
            raise UserError(f"--{name}=DIR is missing.")
    print(merge(options.workdir, options.output))


def merge(workdir: str, output: str) -> str:
    """Writes the merged run, which appears by one rename.

    Returns:
        A sentence about what was done.

    Raises:
        UserError: `workdir` is no LoRA run or its checkpoint is damaged; `output` is there already.
    """
    import jax

    from bigmodel_jax import checkpoint, config, experiment, rundir, trees
    from bigmodel_jax.durations import Clock
    from bigmodel_jax.steps import TrainState

    given = rundir.read_config(workdir)
    task = experiment.make_task(given)
    if not hasattr(task, "merge"):
        raise UserError(f"{workdir} is no LoRA run: its config.task is {given['task']['name']!r}.")
    path = Path(output).expanduser()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"--output {path} is there already: choose another.")
    chosen = rundir.chosen_checkpoint(workdir)
    shapes = trees.unflatten(dict(checkpoint.saved_variables(chosen)))
    here = jax.sharding.SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
    on_host = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), shapes)
    variables = experiment.for_evaluation(checkpoint.restore_variables(chosen, on_host))
    pairs = len(jax.tree.leaves(variables["params"]["lora"])) // 2
    variables = {**variables, "params": task.merge(variables["params"])}
    merged = {**given, "task": given["task"]["task"], "ema": 0.0}  # the average is in the kernels
    source = Path(workdir).expanduser()
    with rundir.new_run(path) as run:
        clock = Clock(1, 1)
        with checkpoint.Checkpointer(run.path / "checkpoints", clock, every="1 steps") as keeper:
            state = TrainState(jax.numpy.int32(chosen.name), variables, {})
            keeper.save(int(chosen.name), state, {})
        about = rundir.RunDir(source).read_about()
        run.write_about({**about, "merged_from": f"{source.absolute()}, step {chosen.name}"})
        if (source / "assets").is_dir():
            shutil.copytree(source / "assets", run.path / "assets")
        rundir.replace(run.path / "config.json", config.to_json(merged))
    return f"{path}: step {chosen.name} of {workdir}, {pairs} kernels merged."


if __name__ == "__main__":
    define_flags()
    run_main(main)
