"""What one device of a TPU slice sends in a step, compiled, against what theory asks for.

    pip install 'jax[tpu]'
    python benchmarks/collectives.py                          # 8 to 512 chips
    python benchmarks/collectives.py --topology=v5e:2x4

A GPT (8 layers of 512, its layers scanned, bfloat16 products of float32 parameters, rows of 1,024 tokens,
one for each part of the batch) is compiled for each topology under each kind of parallelism. Theory, for
n devices of an axis, B parameters in blocks, T in the tied table, Q in positions, and an activation of
A elements on a device:

    data        gradients are summed, those of products in bfloat16: 2 (n-1)/n (2B + (4 + 2)T + 4Q)
    fsdp        gathers for both passes, and gradients scattered in float32: (n-1)/n (2 * 2 + 4)(B + T)
    tensor      sums of what leaves attention and MLP; in the backward pass of what entered by queries,
                keys, values and MLP, each by itself; at the table once each: (6 layers + 2) 2 (n-1)/n 2A
    sequence    the sums of data; keys and values go around, and their gradients back: + 4 layers n 2A
"""

import argparse
import json

TOPOLOGIES = ("v5e:2x4", "v5e:16x16", "v5p:8x8x8")
LAYERS, WIDTH, LENGTH, VOCABULARY, AXIS = 8, 512, 1024, 4096, 8
KINDS = ("data", "fsdp", "tensor", "sequence")


def mesh_of(kind: str, devices: int) -> dict[str, int]:
    if kind in ("data", "fsdp"):
        return {kind: devices}
    return {"data": devices // AXIS, kind: AXIS}


def theory(kind: str, devices: int) -> float:
    """Bytes along the axis of that kind."""
    n = devices if kind in ("data", "fsdp") else AXIS
    blocks, table, positions = 12 * LAYERS * WIDTH**2, VOCABULARY * WIDTH, LENGTH * WIDTH
    activation = LENGTH * WIDTH // (AXIS if kind == "sequence" else 1)
    share = (n - 1) / n
    gradients = 2 * share * (2 * blocks + 6 * table + 4 * positions)
    return {
        "data": gradients,
        "fsdp": share * 8 * (blocks + table),
        "tensor": (6 * LAYERS + 2) * 2 * share * 2 * activation,
        "sequence": gradients + 4 * LAYERS * n * 2 * activation,
    }[kind]


def config(mesh: dict[str, int]) -> dict:
    from bigmodel_jax.config import complete
    from configs import gpt2_pretrain

    given = gpt2_pretrain.get_config("tokens").to_dict()
    given["data"] |= {"length": LENGTH, "batch_size": mesh.get("data", 1) * mesh.get("fsdp", 1)}
    given["model"] |= {"width": WIDTH, "num_layers": LAYERS, "num_heads": 8, "scan": True}
    given["model"]["vocabulary_size"] = VOCABULARY
    given["task"].pop("chunk")
    given["optimizer"]["accumulate"] = 1
    return complete({**given, "mesh": mesh})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topology", choices=TOPOLOGIES, help="one of them; all if left out")
    parser.add_argument("--kind", choices=KINDS, help="one of them; all if left out")
    parser.add_argument("--json", help="a file for all that was found")
    asked = parser.parse_args()
    from bigmodel_jax.planning import hardware, program

    program.prepare(hardware.parse(TOPOLOGIES[0]))
    rows = []
    print(
        f"{'topology':12}{'kind':10}{'chips':>6}{'MiB sent':>10}{'theory':>9}{'ratio':>7}  as",
        flush=True,
    )
    for name in [asked.topology] if asked.topology else TOPOLOGIES:
        topology = hardware.parse(name)
        for kind in [asked.kind] if asked.kind else KINDS:
            mesh = mesh_of(kind, topology.devices)
            found = program.compile_step(config(mesh), topology, "")
            along = [x for x in found.sent if kind in x.axes]
            sent = sum(x.bytes for x in along)
            expected = theory(kind, topology.devices)
            rows.append({"topology": name, "kind": kind, "sent": [x._asdict() for x in found.sent]})
            rows[-1] |= {"bytes": sent, "theory": expected, "seconds": found.seconds}
            as_what = ", ".join(f"{x.count} {x.op}" for x in along)
            print(
                f"{name:12}{kind:10}{topology.devices:6}{sent / 2**20:10.1f}{expected / 2**20:9.1f}"
                f"{sent / expected:7.2f}  {as_what}",
                flush=True,
            )
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()
