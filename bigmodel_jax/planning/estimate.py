"""How long a step takes at best, and what of it is which part: a roofline over the counted work.

It knows peaks, not kernels: a part takes the longer of its products at the peak rate and of moving
their operands and results through the memory; collectives hide behind the products of the same step or
are the longer. So it is a lower bound of the time and an upper bound of MFU.
"""

from typing import NamedTuple

from bigmodel_jax.planning import flops
from bigmodel_jax.planning.hardware import Chip
from bigmodel_jax.planning.program import Program
from bigmodel_jax.topology import QUIETEST_FIRST


class Part(NamedTuple):
    """Seconds of one device a step, and which of the two they are of: "compute" or "memory"."""

    name: str
    flops: float
    seconds: float
    bound: str


class Estimate(NamedTuple):
    """Seconds a step.

    Attributes:
        parts: of the model, and the optimizer.
        sent: seconds by (collective, axes).
        seconds: the sum of the parts or that of the collectives, whichever is longer.
        mfu: model flops over what the devices could do in that time.
        bound: what the step waits for: "compute", "memory" or "communication".
    """

    parts: list[Part]
    sent: dict[tuple[str, tuple[str, ...]], float]
    seconds: float
    mfu: float
    bound: str


def estimate(program: Program, chip: Chip, devices: int) -> Estimate:
    """The roofline of a program on so many of a chip."""
    parts = []
    for name, work in program.parts.items():
        parts.append(_part(name, flops.Work(work.flops / devices, work.bytes / devices), chip))
    # Moments and parameters are read and written, gradients read, once a step; kernels are read by the
    # forward and the backward pass, whole but for what tensor axes split.
    memory = program.memory
    moved = 2 * (memory.parameters + memory.moments) + memory.gradients
    kernels = 3 * program.weight_bytes / program.mesh.get("tensor", 1)
    parts.append(_part("optimizer", flops.Work(0.0, moved), chip))
    parts.append(_part("reading kernels", flops.Work(0.0, kernels), chip))
    sent = {(c.op, c.axes): c.bytes / _rate(c.axes, program.mesh, chip) for c in program.sent}
    busy, waiting = sum(part.seconds for part in parts), sum(sent.values())
    seconds = max(busy, waiting)
    mfu = program.model_flops / (devices * chip.flops * seconds) if seconds else 0.0
    bound = "communication"
    if busy >= waiting:
        computing = sum(part.seconds for part in parts if part.bound == "compute")
        bound = "compute" if computing >= busy / 2 else "memory"
    return Estimate(parts, sent, seconds, mfu, bound)


def waiting(config: dict, program: Program) -> float:
    """The share of their time in which stages have no micro-batch (Huang et al. 2019): 0 without any.

    It is part of the counted work: what a stage does then takes as long.
    """
    idle = program.mesh.get("stage", 1) - 1
    return idle / (config["model"].get("microbatches", 1) + idle)


def _part(name, work, chip):
    computing, moving = work.flops / chip.flops, work.bytes / chip.bandwidth
    bound = "compute" if computing >= moving else "memory"
    return Part(name, work.flops, max(computing, moving), bound)


def _rate(axes: tuple[str, ...], mesh: dict[str, int], chip: Chip) -> float:
    """Bytes a second along mesh axes: over the network where a group is of more than one host or slice."""
    extent, left = 1, set(axes)
    for axis in reversed(QUIETEST_FIRST):  # the loudest axis joins the nearest devices
        extent *= mesh.get(axis, 1) if left else 1
        left.discard(axis)
    return chip.link if chip.host == 0 or extent <= chip.host else chip.network
