"""How far two runs, or two trees of arrays, are from each other."""

import json
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from bigmodel_jax.pace import TIMED


def saved_arrays(workdir: Path, step: int) -> dict[str, np.ndarray]:
    """Every array of a checkpoint by path, as it lies on the disk."""
    import orbax.checkpoint as ocp

    arrays = workdir / "checkpoints" / str(step) / "arrays"
    found = {}
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as orbax:
        for item in (x for x in arrays.iterdir() if x.is_dir()):
            shapes = orbax.metadata(item).item_metadata.tree
            on_host = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
            found[item.name] = orbax.restore(item, restore_args=on_host)
    return by_path(found)


def rows(workdir: Path) -> list[dict]:
    """Of metrics.jsonl, without what measures time, which differs between runs of the same numbers."""
    lines = [json.loads(x) for x in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.endswith(TIMED)} for row in lines]


def by_path(tree) -> dict[str, np.ndarray]:
    """The leaves of any tree, on the host; random keys as their words."""

    def on_host(x):
        is_key = isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.device_get(jax.random.key_data(x) if is_key else x))

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): on_host(leaf) for path, leaf in leaves}


def bits(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> tuple[float, str]:
    """(the greatest absolute difference, where); 0 only where all bits are the same."""
    if a.keys() != b.keys():
        return float("inf"), f"{sorted(a.keys() ^ b.keys())[0]}, which one of the two lacks"
    worst, where = 0.0, ""
    for path, x in a.items():
        y = b[path]
        if x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes():
            continue
        off = float("inf")
        if x.shape == y.shape:
            # No number where one of the two is NaN, and 0 for 0 and -0: other bits all the same.
            gap = np.abs(x.astype(np.float64) - y.astype(np.float64))
            off = float(np.nan_to_num(gap, nan=np.inf).max()) or float(np.finfo(np.float64).tiny)
        if off > worst:
            worst, where = off, path
    return worst, where


def runs(a: Path, b: Path, step: int) -> tuple[float, str, str]:
    """Bits of the checkpoints and the metrics of two runs: (difference, where, what was compared)."""
    first, second = saved_arrays(a, step), saved_arrays(b, step)
    difference, where = bits(first, second)
    if not difference and rows(a) != rows(b):
        pairs = zip(rows(a), rows(b), strict=False)
        other = [f"{k} of step {x['step']}" for x, y in pairs for k in x if y.get(k) != x[k]]
        difference, where = float("inf"), f"metrics.jsonl: {(other or ['its length'])[0]}"
    return difference, where, f"{len(first)} arrays and all metrics after {step} steps"


def relative_distance(a, b) -> float:
    """|a - b| / |b| over all leaves together."""

    def whole(tree):
        return np.concatenate([np.ravel(x).astype(np.float64) for x in by_path(tree).values()])

    a, b = whole(a), whole(b)
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12))
