"""Counts the work of a program from its jaxpr: nothing is compiled, and every loop counts in full.

Products and convolutions are the work of a model; all else rides along with them.
"""

import math
import re
from collections import defaultdict
from typing import Any, NamedTuple

PLUMBING = ("while", "body", "cond", "closed_call", "checkpoint", "rematted_computation", "branch")


class Work(NamedTuple):
    """Of all devices together.

    Attributes:
        flops: a multiplication and an addition are two.
        bytes: of the operands and the results of the products.
    """

    flops: float = 0.0
    bytes: float = 0.0

    def plus(self, other: "Work", times: float = 1) -> "Work":
        return Work(self.flops + times * other.flops, self.bytes + times * other.bytes)


def count(jaxpr: Any) -> dict[str, Work]:
    """The work of a closed jaxpr by part of the model, the largest first.

    A part is a path of modules with the layers of a stack taken together: "decoder/mlp". Of branches
    (lax.cond) the largest counts; a loop without a known length counts once.
    """
    found: dict[str, Work] = defaultdict(Work)
    _walk(jaxpr.jaxpr, (), 1, found)
    return dict(sorted(found.items(), key=lambda item: -item[1].flops))


def total(parts: dict[str, Work]) -> Work:
    work = Work()
    for part in parts.values():
        work = work.plus(part)
    return work


def _walk(jaxpr, path, times, found):
    for eqn in jaxpr.eqns:
        here = (*path, *str(eqn.source_info.name_stack).split("/"))
        flops = FLOPS.get(eqn.primitive.name)
        if flops is not None:
            arrays = [v.aval for v in (*eqn.invars, *eqn.outvars)]
            moved = sum(math.prod(x.shape) * x.dtype.itemsize for x in arrays)
            part = part_of(here)
            found[part] = found[part].plus(Work(flops(eqn), moved), times)
            continue
        if eqn.primitive.name == "cond":
            branches = []
            for branch in eqn.params["branches"]:
                branches.append(defaultdict(Work))
                _walk(branch.jaxpr, here, times, branches[-1])
            for part, work in max(branches, key=lambda x: total(x).flops).items():
                found[part] = found[part].plus(work)
            continue
        length = eqn.params["length"] if eqn.primitive.name == "scan" else 1
        length *= _grid(eqn)
        for value in eqn.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    _walk(inner, here, times * length, found)


def _grid(eqn) -> int:
    """How often a kernel's body runs."""
    mapping = eqn.params.get("grid_mapping") if eqn.primitive.name == "pallas_call" else None
    return math.prod(mapping.grid) if mapping is not None else 1


def part_of(path: tuple[str, ...]) -> str:
    """The module that a path of name scopes is in: ("jvp(Model)", "decoder", "block_3", "mlp", "up")
    is in "decoder/mlp"."""
    names = []
    for name in path:
        if not re.fullmatch(r"\w+(\.\w+)?", name) or name in PLUMBING:
            continue  # a transformation, an equation
        name = name.partition(".")[0]  # a module's method
        if name in ("Model", *names[-1:]):
            continue
        if re.fullmatch(r"(block|layer)s?(_\d+)?", name):
            continue
        names.append(re.sub(r"_\d+$", "", name))
    return "/".join(names[:2]) or "other"


def _dot(eqn) -> float:
    (contracting, _), _ = eqn.params["dimension_numbers"]
    depth = math.prod(eqn.invars[0].aval.shape[i] for i in contracting)
    return 2.0 * depth * math.prod(eqn.outvars[0].aval.shape)


def _convolution(eqn) -> float:
    numbers = eqn.params["dimension_numbers"]
    kernel = eqn.invars[1].aval.shape
    window = math.prod(kernel) / kernel[numbers.rhs_spec[0]]  # inputs of a group, times the window
    out = eqn.outvars[0].aval
    # Zeros between the pixels, of a strided convolution's gradient, are not multiplied for real.
    dilated = math.prod(eqn.params["lhs_dilation"]) * math.prod(eqn.params["rhs_dilation"])
    return 2.0 * window * math.prod(out.shape) / dilated


FLOPS = {"dot_general": _dot, "conv_general_dilated": _convolution}
