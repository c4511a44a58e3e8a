"""`predict` as one program for every platform and any number of rows (jax.export, StableHLO)."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from bigmodel_jax import sharding, trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.exported import inputs
from bigmodel_jax.exported.inputs import Input

PLATFORMS = ("cpu", "cuda", "tpu")
SHORTEST = 32  # tokens of a row, the shortest bucket that data have by themselves
REFUSED = (TypeError, ValueError, NotImplementedError, jax.errors.InconclusiveDimensionOperation)


class Program(NamedTuple):
    """`predict(parameters by path, batch) -> outputs`, and what it reads.

    Attributes:
        exported: serializable.
        parameters: the paths of the variables that it reads.
        inputs: the arrays of a batch that it reads; an axis with a name may have any length.
        bounds: (least, most) of the open axes that have bounds.
        why: no length of texts is open, and this is why; "" where they are, or there are none.
    """

    exported: export.Exported
    parameters: list[str]
    inputs: dict[str, Input]
    bounds: dict[str, tuple[int, int]]
    why: str = ""

    @property
    def axes(self) -> list[str]:
        """The names of the open axes, "batch" first."""
        return list(
            dict.fromkeys(a for x in self.inputs.values() for a in x.axes if isinstance(a, str))
        )


def trace(
    predict: Callable, variables: Mapping, read: Mapping[str, Input], longest: Mapping[str, int]
) -> Program:
    """Traces `predict(variables, batch)`, with open lengths where the model allows.

    What of the variables and the batch has no part in the outputs is left out.

    Args:
        variables: of which only shapes matter.
        read: the arrays that a batch may have.
        longest: the largest length of an axis, by its name.

    Raises:
        UserError: it cannot be traced for an unknown number of rows.
    """
    flat = {k: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in trees.flatten(variables).items()}

    def export_at(sizes, used, platforms):
        shapes = inputs.shapes(read, sizes)

        def run(parameters, batch):
            given = zeros(flat) | parameters, zeros(shapes) | batch
            return predict(trees.unflatten(given[0]), given[1])

        arguments = [{k: x for k, x in part.items() if used(k)} for part in (flat, shapes)]
        with sharding.portable():
            return export.export(jax.jit(run), platforms=platforms)(*arguments)

    names = dict.fromkeys(a for x in read.values() for a in x.axes if isinstance(a, str))
    whole = export_at({a: longest.get(a, 2) for a in names}, lambda k: True, ("cpu",))
    order = [*sorted(flat), *sorted(read)]  # jax's of dicts
    kept = {order[i] for i in whole.module_kept_var_idx}
    read = {k: x for k, x in read.items() if k in kept}
    open_axes = [a for a in names if any(a in x.axes for x in read.values())]
    bounds = {a: (SHORTEST, n) for a, n in longest.items() if a in open_axes and n > SHORTEST}
    fixed = {a: n for a, n in longest.items() if a not in bounds}

    def finish(bounds, fixed, why=""):
        limits = [
            text
            for a, (least, most) in bounds.items()
            for text in (f"{a} >= {least}", f"{a} <= {most}")
        ]
        names = [a for a in open_axes if a not in fixed]
        symbols = export.symbolic_shape(", ".join(names), constraints=limits)
        sizes = fixed | dict(zip(names, symbols, strict=True))
        exported = export_at(sizes, kept.__contains__, PLATFORMS)
        shaped = {
            k: Input(x.dtype, tuple(fixed.get(a, a) for a in x.axes)) for k, x in read.items()
        }  # type: ignore
        return Program(exported, sorted(kept & flat.keys()), shaped, bounds, why)

    why = ""
    try:
        return finish(bounds, fixed)
    except REFUSED as error:
        why = _first_line(error)
    try:
        return finish({}, dict(longest), why)
    except REFUSED as error:
        raise UserError(
            f"The model cannot be traced for an unknown number of rows ({_first_line(error)})."
        ) from error


def zeros(shapes: Mapping[str, Any]) -> dict[str, jax.Array]:
    """In place of what has no part in the outputs."""
    return {name: jnp.zeros(x.shape, x.dtype) for name, x in shapes.items()}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
