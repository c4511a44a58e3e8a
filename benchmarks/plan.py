"""What `plan` says of a step on this machine's CPU against what the step takes.

    python benchmarks/plan.py                     # all four
    python benchmarks/plan.py --config=gpt

Each config is planned for cpu:1, then its step is run: the median time of 9, and by how much the
process' memory grew at most from before its state was made to after (the parameters, moments and
temporaries of the plan). Where the data are not here, a batch is padding of their shapes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

CONFIGS = {
    "mlp": "mnist.py:mlp",
    "resnet18": "cifar10.py:resnet18",
    "gpt": "gpt_shakespeare.py:best",
    "bert": "imdb_mlm.py",
}
STEPS = 9


def load(name: str) -> dict:
    import importlib

    from bigmodel_jax.config import complete

    module, _, arg = CONFIGS[name].partition(":")
    given = importlib.import_module(f"configs.{module[:-3]}").get_config(arg or None).to_dict()
    given["data"].pop("resident", None)
    if "vocabulary_size" in given["model"] or name == "bert":
        given["model"]["vocabulary_size"] = given["model"].get("vocabulary_size") or 8192
    return complete({**given, "repeat": 1, "mesh": {"data": 1}})


def high_water(reset: bool = False) -> int:
    """The most bytes that this process has had since the last reset."""
    if reset:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def measure(name: str, data_dir: str) -> dict[str, float]:
    """Predicted and measured seconds and bytes."""
    from bigmodel_jax.planning import hardware, program, report

    topology = hardware.parse("cpu:1")
    program.prepare(topology)
    config = load(name)
    planned = report.figures(config, topology, program.compile_step(config, topology, data_dir))

    import jax

    from bigmodel_jax import experiment, sharding, steps

    mesh = sharding.make_mesh({"data": 1}, program.devices_of(topology))
    with sharding.use(mesh, config["rules"]):
        plan, _ = program.open_plan(config, data_dir, mesh)
        batch = sharding.put(plan.source.peek(), mesh)
        update = jax.jit(steps.counted(plan.step).update, donate_argnums=0)
        key = jax.random.key(0)
        compiled = update.lower(plan.abstract, batch, key).compile()
        before = high_water(reset=True)
        state, _ = compiled(experiment.fresh_state(plan), batch, key)
        jax.block_until_ready(state)
        seconds = []
        for _ in range(STEPS):
            began = time.perf_counter()
            state, _ = compiled(state, batch, key)
            jax.block_until_ready(state)
            seconds.append(time.perf_counter() - began)
        grown = high_water() - before
    return {
        "predicted_seconds": planned["seconds"],
        "seconds": statistics.median(seconds),
        "predicted_bytes": planned["memory"]["peak"],
        "bytes": grown,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", choices=CONFIGS, help="one of them; all if left out")
    parser.add_argument("--data_dir", default="", help="prepared data, else shapes are made up")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        print(json.dumps(measure(asked.config, asked.data_dir)))
        return
    print(
        f"{'':10}{'ms planned':>12}{'ms':>10}{'ratio':>7}{'MiB planned':>13}{'MiB':>9}{'ratio':>7}"
    )
    for name in [asked.config] if asked.config else CONFIGS:
        command = [sys.executable, __file__, "--worker", f"--config={name}"]
        command.append(f"--data_dir={asked.data_dir}")
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(said.splitlines()[-1])
        print(
            f"{name:10}{1e3 * found['predicted_seconds']:12.2f}{1e3 * found['seconds']:10.2f}"
            f"{found['seconds'] / found['predicted_seconds']:7.2f}"
            f"{found['predicted_bytes'] / 2**20:13.1f}{found['bytes'] / 2**20:9.1f}"
            f"{found['bytes'] / found['predicted_bytes']:7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
