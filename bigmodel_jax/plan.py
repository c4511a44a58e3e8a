"""Says before anything is paid for whether a run fits its devices, and how fast it could be.

    python -m bigmodel_jax.plan --config=configs/gpt2_pretrain.py --topology=v5e:2x2
    python -m bigmodel_jax.plan --config=... --topology=h200:8x16 --config.mesh.data=1 --config.mesh.fsdp=-1 --json=plan.json
    python -m bigmodel_jax.plan --config=... --topology=v5p:4x4x4 --search

The step is compiled here for the devices of --topology: by XLA's own compiler for TPUs (needs `pip
install 'jax[tpu]'`, and no TPU), for GPUs and CPUs by the one for pretended CPU devices, whose temporaries
stand in for a GPU's. Work is counted from the program, the time is a roofline: a bound, not a promise.
--search tries meshes and what is recomputed, and ranks them. Where the data are not here, their shapes
are config.data's own.
"""

import json
from pathlib import Path

from absl import flags

from bigmodel_jax.runtime import DATA_DIR, define_config, read_config, run_main


def define_flags() -> None:
    define_config("plan")
    flags.DEFINE_string(
        "topology", "cpu:1", "The devices: v5e:4x4, 2xv5p:4x4x4 (two slices), h200:8x16, cpu:8, ..."
    )
    flags.DEFINE_bool(
        "search", False, "Compile other meshes and remat policies, too, and rank them."
    )
    flags.DEFINE_string("json", "", "A file for the figures.")


def main() -> None:
    options = flags.FLAGS
    config = read_config("plan")
    from bigmodel_jax.planning import hardware, program

    topology = hardware.parse(options.topology)
    program.prepare(topology)
    from bigmodel_jax.data.prepared import default_data_dir
    from bigmodel_jax.planning import report, search

    data_dir = DATA_DIR.value or default_data_dir()
    found = report.figures(config, topology, program.compile_step(config, topology, data_dir))
    print(report.table(found), flush=True)
    if options.search:
        found["search"] = search.ranking(config, topology, data_dir)
        print(search.table(found["search"]), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    define_flags()
    run_main(main)
