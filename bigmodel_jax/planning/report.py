"""The figures of a plan: as a dict for programs, and as a table for people."""

from typing import Any

from bigmodel_jax.planning import flops
from bigmodel_jax.planning.advice import SPARE, advise, largest_batch
from bigmodel_jax.planning.estimate import estimate, waiting
from bigmodel_jax.planning.hardware import GIB, Topology
from bigmodel_jax.planning.measured import this_machine
from bigmodel_jax.planning.program import Program

DAY = 86_400


def figures(config: dict, topology: Topology, program: Program) -> dict[str, Any]:
    """All that is known of a step of `config` on the devices, for which it was compiled."""
    chip = topology.chip or this_machine(topology.devices)
    found = estimate(program, chip, topology.devices)
    memory = program.memory
    per_day = DAY / found.seconds
    return {
        "topology": topology.name,
        "devices": topology.devices,
        "mesh": program.mesh,
        "described": program.described,
        "compiled_in_seconds": program.seconds,
        "parameters": program.parameters,
        "batch": {"examples": program.examples, "tokens": program.tokens},
        "memory": {
            **memory._asdict(),
            "peak": memory.peak,
            "of": chip.memory,
            "compiled_for": topology.platform if topology.platform == "tpu" else "cpu",
        },
        "fits": memory.peak <= SPARE * chip.memory,
        "largest_batch": largest_batch(program, chip),
        "flops": {
            "model": program.model_flops,
            "counted": flops.total(program.parts).flops,
            "xla_all_devices": program.xla_flops * topology.devices,
        },
        "parts": [part._asdict() for part in found.parts],
        "collectives": [{**c._asdict(), "seconds": found.sent[c.op, c.axes]} for c in program.sent],
        "seconds": found.seconds,
        "mfu": found.mfu,
        "bound": found.bound,
        "waiting": waiting(config, program),
        "per_day": {
            "examples": program.examples * per_day,
            "tokens": program.tokens * per_day,
        },
        "advice": advise(config, program, found, chip, topology.devices),
    }


def table(found: dict[str, Any]) -> str:
    """The same for people."""
    memory, batch = found["memory"], found["batch"]
    mesh = " x ".join(f"{k} {v}" for k, v in found["mesh"].items()) or "one device"
    lines = [
        f"{found['topology']}, as {mesh}: {found['parameters']:,} parameters; "
        f"compiled in {found['compiled_in_seconds']:.0f} s"
    ]
    if found["described"]:
        lines.append(
            f"Planned from the shapes in config.data, for the data are not here: {found['described']}"
        )
    tokens = f", {batch['tokens']:,} tokens" if batch["tokens"] else ""
    lines += [f"A step is of {batch['examples']:,} examples{tokens}.", ""]
    unit, name = (GIB, "GiB") if memory["peak"] >= GIB else (2**20, "MiB")
    lines.append(f"{'memory of one device':28}{name:>10}")
    for key in ("parameters", "moments", "batch", "temporary"):
        lines.append(f"{key:28}{memory[key] / unit:10.3f}")
    verdict = "fits" if found["fits"] else "DOES NOT FIT"
    lines.append(
        f"{'in all':28}{memory['peak'] / unit:10.3f}  of {memory['of'] / GIB:.0f} GiB: {verdict}"
    )
    lines.append(
        f"temporaries by the compiler for {memory['compiled_for']}s; gradients are "
        f"{memory['gradients'] / unit:.3f} of them"
    )
    lines += ["", f"{'a step at best':28}{'ms':>10}{'TFLOP':>12}  bound by"]
    parts = sorted(found["parts"], key=lambda part: -part["seconds"])
    for part in [p for p in parts if p["seconds"] > 0.002 * found["seconds"]]:
        tera = part["flops"] * found["devices"] / 1e12
        lines.append(f"{part['name']:28}{1e3 * part['seconds']:10.3f}{tera:12.4g}  {part['bound']}")
    for sent in found["collectives"]:
        what = f"{sent['op']} along {', '.join(sent['axes'])}"
        size = f"{sent['count']:,}, of {sent['bytes'] / 2**20:.4g} MiB in all"
        lines.append(f"{what:28}{1e3 * sent['seconds']:10.3f}{'':12}  {size}")
    lines.append(
        f"{'in all':28}{1e3 * found['seconds']:10.3f}{found['flops']['counted'] / 1e12:12.4g}  {found['bound']}"
    )
    if found["waiting"]:
        lines.append(f"Stages wait for micro-batches {found['waiting']:.0%} of the layers' time.")
    per_day = found["per_day"]
    often = (
        f"{per_day['tokens']:.3g} tokens"
        if batch["tokens"]
        else f"{per_day['examples']:.3g} examples"
    )
    lines += ["", f"MFU {found['mfu']:.0%} and {often} a day at best."]
    if found["largest_batch"]:
        lines.append(
            f"The largest batch that fits is of about {found['largest_batch']:,} examples."
        )
    lines += [f"{i}. {change}." for i, change in enumerate(found["advice"], 1)]
    return "\n".join(lines)
