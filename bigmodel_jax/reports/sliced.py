"""Tables of how good a model is on parts of a split, as evals/slices.py left them in a result."""

from collections.abc import Mapping

from bigmodel_jax.evals.slices import BY
from bigmodel_jax.reports.page import Table


def tables(result: Mapping) -> list[Table]:
    """A table for each field that the examples were cut by."""
    found = []
    for key, rows in result.items():
        if not key.startswith(BY) or not rows:
            continue
        metric = next(k for k in rows[0] if k not in ("value", "examples", "low", "high"))
        cells = [
            [
                row["value"],
                f"{row['examples']:,}",
                f"{row[metric]:.4f}",
                f"{row['low']:.4f} to {row['high']:.4f}",
            ]
            for row in rows
        ]
        header = [key.removeprefix(BY), "examples", metric, "95 % interval"]
        found.append(Table(header, cells, numbers=True))
    return found
