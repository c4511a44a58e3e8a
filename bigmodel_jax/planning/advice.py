"""What would make a program fit, or be faster: from its own figures, for `plan --search` to check."""

import math

from bigmodel_jax.config import fields
from bigmodel_jax.planning.estimate import Estimate, waiting
from bigmodel_jax.planning.hardware import GIB, Chip
from bigmodel_jax.planning.program import Program

SPARE = 0.95  # of the memory; the rest is the runtime's


def largest_batch(program: Program, chip: Chip) -> int:
    """The examples of the largest batch that fits, where what grows with the batch grows in proportion."""
    memory = program.memory
    fixed = memory.parameters + memory.moments + memory.gradients
    growing = memory.batch + max(memory.temporary - memory.gradients, 0)
    if growing <= 0 or chip.memory * SPARE <= fixed:
        return 0
    return int(program.examples * (chip.memory * SPARE - fixed) / growing)


def advise(config: dict, program: Program, found: Estimate, chip: Chip, devices: int) -> list[str]:
    """At most three changes of the config, the cheapest first, with what each is expected to bring."""
    memory, changes = program.memory, []
    state = memory.parameters + memory.moments
    split = math.prod(program.mesh.get(axis, 1) for axis in ("fsdp", "tensor", "stage"))
    tight = memory.peak > chip.memory * SPARE
    saved = memory.temporary - memory.gradients
    if tight and split < devices and state > 0.3 * chip.memory:
        left = state * split / devices / GIB
        changes.append(
            f"--config.mesh.data=1 --config.mesh.fsdp=-1 splits parameters and moments: {state / GIB:.1f} to about "
            f"{left:.1f} GiB"
        )
    known = "remat" in fields("models", config["model"]["name"])
    if tight and known and config["model"].get("remat", "none") == "none":
        changes.append(
            f"--config.model.remat=full keeps only the input of each block: some of {saved / GIB:.1f} GiB, "
            "for about a third more products"
        )
    if tight and saved > 0.2 * chip.memory:
        more = 2 * config["optimizer"].get("accumulate", 1)
        changes.append(
            f"--config.optimizer.accumulate={more} halves the rows at once: about {saved / 2 / GIB:.1f} GiB less"
        )
    if not tight and found.bound == "communication":
        slowest = max(found.sent, key=lambda key: found.sent[key])
        axes = ", ".join(slowest[1])
        changes.append(
            f"{slowest[0]} along {axes} takes {found.sent[slowest] * 1e3:.3g} ms: a smaller axis {axes}, or a "
            "larger batch"
        )
    if not tight and (share := waiting(config, program)) > 0.1:
        more = 2 * config["model"]["microbatches"]
        changes.append(
            f"--config.model.microbatches={more}: stages wait {share:.0%} of the layers' time now"
        )
    elif not tight and config["model"].get("remat", "none") != "none":
        again = 1 - program.model_flops / max(sum(p.flops for p in program.parts.values()), 1)
        changes.append(
            f"--config.model.remat=none: {again:.0%} of the products are done twice now; --search says whether it fits"
        )
    room = largest_batch(program, chip)
    if not tight and room >= 2 * program.examples:
        changes.append(
            f"a batch of up to about {room:,} fits, of which each step's fixed costs would be less"
        )
    if config["model"].get("dtype", "float32") == "float32" and chip.platform != "cpu":
        changes.append("--config.model.dtype=bfloat16: the peak is that of bfloat16 products")
    return changes[:3]
