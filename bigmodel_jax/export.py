"""Exports what a run's `predict` computes as one program for CPU, CUDA and TPU: jax.export's StableHLO.

    python -m bigmodel_jax.export --workdir=runs/imdb --out=model.export
    python model.export/load.py inputs.npz outputs.npz

To apply the folder takes jax, its flatbuffers and numpy, and nothing of this project:

    model.stablehlo          predict(parameters, batch), for any number of rows
    parameters.safetensors   the best parameters, averaged where config.ema says so
    about.json               inputs, outputs, labels, how texts or images are prepared, metrics, versions
    load.py                  reads the two, and applies them
    assets/                  the tokenizer, the labels

It appears only if load.py, in a process of its own, answers as the run does.
"""

import json
import os
import shutil
from pathlib import Path

from absl import flags

from bigmodel_jax.errors import UserError
from bigmodel_jax.runtime import run_main


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "The directory of the run to export.")
    flags.DEFINE_string("out", None, "The folder to write.")


def main() -> None:
    """Exports, and says how far the export is from the run."""
    options = flags.FLAGS
    if not options.workdir:
        raise UserError("--workdir=DIR says which run to export, and is missing.")
    if not options.out:
        raise UserError("--out=DIR names the folder to write, and is missing.")
    print(export(options.workdir, options.out))


def export(workdir: str, out: str) -> str:
    """Writes the folder, which appears by one rename.

    Returns:
        Lines about what was written, and how far it is from the run.

    Raises:
        UserError: `out` is there already; the task has no `predict`, or it cannot be traced for any
            number of rows; the export does not compute what the run does; or any of apply.load.
    """
    import jax

    from bigmodel_jax import apply, experiment, rundir, trees
    from bigmodel_jax.exported import about, inputs, parity, program
    from bigmodel_jax.hub.safetensors import Writer

    final = Path(out).expanduser().absolute()
    if final.exists():
        raise UserError(f"--out {final} is there already: choose another.")
    config = rundir.read_config(workdir)
    if not hasattr(experiment.make_task(config), "predict"):
        raise UserError(
            f"{workdir} is a run of the task {config['task']['name']!r}, which predicts nothing: there "
            "is no function to export."
        )
    texts = config["data"]["name"] == "text"
    with apply.load(workdir, apply.Applied if texts else apply.Loaded) as run:
        read, longest = inputs.find(config, run.example()), inputs.longest(config)
        variables = jax.device_get(run.variables)
    found = program.trace(run.task.predict, variables, read, longest)
    flat = trees.flatten(variables)
    parameters = {name: flat[name] for name in found.parameters}
    part = final.with_name(f"{final.name}.unfinished")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        (part / "model.stablehlo").write_bytes(found.exported.serialize())
        writer = Writer(
            part / "parameters.safetensors", {k: (x.dtype, x.shape) for k, x in parameters.items()}
        )
        writer.write(parameters.values())
        writer.close()
        shutil.copy(Path(program.__file__).with_name("load.py"), part)
        if run.assets.is_dir():  # but for samples of the training images
            shutil.copytree(run.assets, part / "assets", ignore=shutil.ignore_patterns("*.npz"))
        said = parity.compare(part, run, variables, found)
        described = about.describe(Path(workdir).expanduser(), run, found)
        text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
        (part / "about.json").write_text(text, encoding="utf-8")
        os.replace(part, final)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    size = sum(x.nbytes for x in parameters.values())
    first = f"{final}: step {run.step} of {workdir}, {len(parameters)} arrays of {size:,} bytes."
    closed = [f"NOTE: rows have one length ({found.why})."] if found.why else []
    return "\n".join([first, *closed, *said])


if __name__ == "__main__":
    define_flags()
    run_main(main)
