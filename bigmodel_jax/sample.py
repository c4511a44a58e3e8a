"""Paints images with a trained generative model, as one picture.

    python -m bigmodel_jax.sample --workdir=runs/mnist_vae --n=64 --out=grid.png
    python -m bigmodel_jax.sample --workdir=runs/mnist_gan --class=7 --n=64 --out=sevens.png

Without --class a model of classes paints all of them in turn. The same seed gives the same picture.
"""

import math
from pathlib import Path

from absl import flags

from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.runtime import run_main


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "The directory of the run to paint with.")
    flags.DEFINE_string("class", None, "Of a model of classes: the name of one.")
    flags.DEFINE_integer("n", 64, "How many images.", lower_bound=1)
    flags.DEFINE_string("out", "grid.png", "The picture to write.")
    flags.DEFINE_integer("columns", None, "Images in a row; by default a square.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of what is drawn.")


def main() -> None:
    options = flags.FLAGS
    if not options.workdir:
        raise UserError("--workdir=DIR says which run to paint with, and is missing.")
    name, n = options["class"].value, options.n
    columns = options.columns or math.ceil(math.sqrt(n))
    print(sample(options.workdir, name, n, options.out, columns, options.seed))


def sample(workdir: str, name: str | None, n: int, out: str, columns: int, seed: int) -> str:
    """Writes `n` images to `out`; a sentence about it.

    Args:
        name: of a class; None is all of them in turn.

    Raises:
        UserError: the run paints nothing, or knows no such class; `out` cannot be written; or any of
            apply.load.
    """
    import numpy as np

    from bigmodel_jax import apply, grids, rundir
    from bigmodel_jax.data import encoding
    from bigmodel_jax.generation.painting import Painter

    with apply.load(workdir) as run:
        painter = Painter(run.task, run.mesh)
        names, what = [str(x) for x in encoding.load_labels(run.assets)], f"{n} images"
        if name is not None and not run.task.conditional:
            raise UserError(f"{workdir} is a run without classes: leave out --class.")
        if name is not None and name not in names:
            raise UserError(f"--class: the run has no class {name!r}.{nearest(name, names)}")
        labels = np.arange(n, dtype=np.int32) % len(names)
        if name is not None:
            labels, what = np.full(n, names.index(name), np.int32), f"{what} of class {name}"
        images = painter.sample(run.variables, labels, seed)
    path = Path(out).expanduser()
    scale = max(1, 64 // images.shape[1])
    try:
        rundir.replace(path, grids.png(grids.grid(images, columns), scale))
    except OSError as error:
        raise UserError(f"--out {path} cannot be written: {error.strerror}.") from error
    return f"{path}: {what}, painted by step {run.step} of {workdir}."


if __name__ == "__main__":
    define_flags()
    run_main(main)
