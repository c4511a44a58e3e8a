"""An export against its run: the loader, in a process of its own, and the task's `predict`, on the CPU."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.apply import Loaded
from bigmodel_jax.errors import UserError
from bigmodel_jax.exported import inputs
from bigmodel_jax.exported.program import Program
from bigmodel_jax.steps import Batch

ROWS = 1, 3  # of the two batches
ALLOWED = {"float32": 1e-4, "bfloat16": 1e-2}  # |difference| / (1 + |value|), by what products take


def compare(folder: Path, run: Loaded, variables: Mapping, program: Program) -> list[str]:
    """A sentence about each of two batches of made-up rows, one short, one as long as may be.

    Raises:
        UserError: the two answer differently, or the loader fails.
    """
    said = []
    low = "bfloat16" in json.dumps(run.config["model"])
    allowed = ALLOWED["bfloat16" if low else "float32"]
    for i, rows in enumerate(ROWS):
        lengths = {a: most if i else least + 1 for a, (least, most) in program.bounds.items()}
        sizes = {**dict.fromkeys(program.axes, 2 + i), **lengths, "batch": rows}
        vocabulary = run.config["model"].get("vocabulary_size", 2)
        batch = inputs.rows(program.inputs, sizes, vocabulary, seed=i)
        apart = distances(_predicted(run, variables, batch), loaded(folder, batch))
        worst = max(apart, key=lambda name: apart[name])
        shape = ", ".join(f"{axis} {sizes[axis]}" for axis in program.axes)
        if not apart[worst] <= allowed:
            raise UserError(
                f"The export does not say what the run says: {worst} is {apart[worst]:.1e} away at "
                f"{shape}, where {allowed:.0e} is allowed; nothing was written."
            )
        said.append(f"{shape}: {worst} is {apart[worst]:.1e} from the run's, no output is further.")
    return said


def distances(wanted: Mapping, got: Mapping) -> dict[str, float]:
    """The greatest |difference| / (1 + |value|) of each output, NaN where there is one."""
    found = {}
    for name, x in wanted.items():
        x, y = (np.asarray(values, np.float64) for values in (x, got[name]))
        found[name] = float(np.max(np.abs(x - y) / (1 + np.abs(x))))
    return found


def loaded(folder: Path, batch: Batch) -> dict[str, np.ndarray]:
    """What the folder's load.py answers, in a process that sees no module of ours."""
    with tempfile.TemporaryDirectory() as scratch:
        given, answered = Path(scratch) / "inputs.npz", Path(scratch) / "outputs.npz"
        np.savez(given, **batch)
        done = subprocess.run(
            [sys.executable, "-I", str(folder / "load.py"), str(given), str(answered)],
            capture_output=True,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
            cwd=scratch,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise UserError(f"The export's load.py fails: {last}; nothing was written.")
        with np.load(answered) as outputs:
            return dict(outputs)


def _predicted(run: Loaded, variables: Mapping, batch: Batch) -> dict[str, np.ndarray]:
    mesh = sharding.make_mesh({}, jax.local_devices(backend="cpu")[:1])
    with sharding.use(mesh, run.config["rules"]):
        return jax.device_get(jax.jit(run.task.predict)(variables, batch))
