"""What about.json of an export says: for whoever applies it and has neither the run nor its code."""

import json
from pathlib import Path
from typing import Any

import jax

from bigmodel_jax import environment
from bigmodel_jax.apply import Loaded
from bigmodel_jax.data.encoding import load_labels
from bigmodel_jax.exported.program import PLATFORMS, Program
from bigmodel_jax.rundir import RunDir

# Of config.data: how a text or an image became a row.
PREPARED = ("tokenizer", "max_length", "keep", "length", "source_length", "target_length", "prefix",
            "image_size", "channels", "crop")  # fmt: skip


def describe(workdir: Path, run: Loaded, program: Program) -> dict[str, Any]:
    """Inputs, outputs, labels, how rows are prepared, where it comes from, how good it is."""
    exported = program.exported
    outputs = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    labels = run.assets / "labels.json"
    results = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["metrics"]
        for path in sorted((workdir / "results").glob("*.json"))
    }
    here, made = environment.describe(), RunDir(workdir).read_about()
    return {
        "inputs": {k: {"dtype": x.dtype.name, "shape": x.axes} for k, x in program.inputs.items()},
        "outputs": {
            k: {
                "dtype": x.dtype.name,
                "shape": [n if isinstance(n, int) else str(n) for n in x.shape],
            }
            for k, x in outputs.items()
        },
        "bounds": program.bounds,
        "platforms": PLATFORMS,
        "labels": load_labels(run.assets) if labels.is_file() else None,
        "prepared": {k: run.config["data"][k] for k in PREPARED if k in run.config["data"]},
        "model": run.config["model"],
        "task": run.config["task"],
        "run": {
            "name": workdir.absolute().name,
            "step": run.step,
            "data": made.get("data"),
            "generated": made.get("generated"),
            "metrics": results,
        },
        "versions": {
            "calling_convention": exported.calling_convention_version,
            "python": here["python"],
            **{k: v for k, v in here["packages"].items() if k in ("bigmodel_jax", "jax", "jaxlib")},
            "commit": here["commit"],
        },
    }
