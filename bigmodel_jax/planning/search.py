"""Other meshes and remat policies for the same config, compiled and ranked."""

import itertools
from typing import Any

from bigmodel_jax.config import fields
from bigmodel_jax.errors import UserError
from bigmodel_jax.planning.hardware import GIB, Topology
from bigmodel_jax.planning.program import compile_step
from bigmodel_jax.planning.report import figures

TENSOR = (1, 2, 4, 8)


def candidates(config: dict, devices: int) -> list[dict[str, Any]]:
    """Changes of the config: {"mesh": {...}, "remat": ...}."""
    meshes = [{"data": devices}]
    for tensor in TENSOR:
        if devices % tensor == 0 and devices // tensor > 1:
            meshes.append({"fsdp": devices // tensor, **({"tensor": tensor} if tensor > 1 else {})})
    remats = (
        ("none", "dots", "full") if "remat" in fields("models", config["model"]["name"]) else ("",)
    )
    return [{"mesh": m, "remat": r} for m, r in itertools.product(meshes, remats)]


def ranking(config: dict, topology: Topology, data_dir: str) -> list[dict[str, Any]]:
    """What each candidate comes to, those that fit first, then the quickest first."""
    found = []
    for change in candidates(config, topology.devices):
        model = {**config["model"], **({"remat": change["remat"]} if change["remat"] else {})}
        row = {**change, "fits": False, "seconds": None, "mfu": None, "peak": None, "why": ""}
        try:
            changed = {**config, "mesh": change["mesh"], "model": model}
            plan = figures(changed, topology, compile_step(changed, topology, data_dir))
            row |= {k: plan[k] for k in ("fits", "seconds", "mfu")} | {
                "peak": plan["memory"]["peak"]
            }
        except UserError as error:
            row["why"] = str(error)
        found.append(row)
    return sorted(found, key=lambda row: (not row["fits"], row["seconds"] or float("inf")))


def table(rows: list[dict[str, Any]]) -> str:
    """The ranking for people."""
    lines = ["", f"{'mesh':28}{'remat':>7}{'GiB':>9}{'ms':>10}{'MFU':>6}  "]
    for row in rows:
        mesh = " x ".join(f"{k} {v}" for k, v in row["mesh"].items())
        if row["seconds"] is None:
            lines.append(f"{mesh:28}{row['remat'] or '-':>7}  {row['why'][:80]}")
            continue
        lines.append(
            f"{mesh:28}{row['remat'] or '-':>7}{row['peak'] / GIB:9.3g}{1e3 * row['seconds']:10.2f}"
            f"{row['mfu']:6.0%}  {'' if row['fits'] else 'does not fit'}"
        )
    return "\n".join(lines)
