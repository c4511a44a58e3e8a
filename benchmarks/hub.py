"""Reading published parameters: seconds and memory, against safetensors with torch on the same disk.

    python benchmarks/hub.py                    # a Llama of 1 GB in float32; needs the extra [parity]
    python benchmarks/hub.py --megabytes=200 --folder=/a/disk

Written first, by us, with random numbers; then read by a process each, in turns, from a warm cache of
the disk. "above" is the peak of a process's memory less what it holds at the end, imports included, as
a share of the largest tensor; pages of the mapped file count.
"""

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CONTESTANTS = ("ours", "safetensors with torch")


def write(folder: Path, megabytes: int) -> None:
    """A Llama of about that size, in two files."""
    from bigmodel_jax.hub import layout, published
    from bigmodel_jax.hub.safetensors import Writer

    width, vocabulary = 1024, 32_000
    layer = 4 * width * width + 3 * width * 4 * width
    layers = max(1, round((megabytes * 1e6 / 4 - 2 * vocabulary * width) / layer))
    settings = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 16,
        "max_position_embeddings": 2048,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    found = published.find_layout("llama")
    spec = {"name": "gpt", **found.OURS, "head": "lm"}
    spec |= published.settings.read(settings, found.SETTINGS, found.FIXED, found.IGNORED, "")
    spec |= found.read_more(settings, "")
    shapes = published.our_shapes(spec)
    links = layout.links(found.PARAMETERS, shapes)
    index, rng = {}, np.random.default_rng(0)
    for number, part in enumerate((links[::2], links[1::2]), 1):
        name = f"model-{number:05}-of-00002.safetensors"
        sizes = {link.theirs: (np.dtype(np.float32), link.shape(shapes)) for link in part}
        writer = Writer(folder / name, sizes)
        writer.write(rng.standard_normal(size, np.float32) for _, size in sizes.values())
        writer.close()
        index |= dict.fromkeys(sizes, name)
    content = json.dumps({"metadata": {}, "weight_map": index})
    (folder / "model.safetensors.index.json").write_text(content)


def read(contestant: str, folder: Path) -> dict:
    """{"seconds", "peak": bytes above what is held at the end, "arrays": bytes}."""
    if contestant == "ours":
        import jax

        from bigmodel_jax import sharding
        from bigmodel_jax.hub import loading, published

        mesh = sharding.make_mesh({"fsdp": -1})
        jax.device_put(np.zeros(1)).block_until_ready()
        start = time.perf_counter()
        found = published.read(folder)
        with sharding.use(mesh):
            held = loading.load(found, published.abstract(found.model, mesh))
        seconds, size = time.perf_counter() - start, sum(x.nbytes for x in jax.tree.leaves(held))
        del found
    else:
        from safetensors.torch import load_file

        start = time.perf_counter()
        files = sorted(folder.glob("*.safetensors"))
        held = [{k: v.clone() for k, v in load_file(file).items()} for file in files]
        seconds = time.perf_counter() - start
        size = sum(x.nbytes for part in held for x in part.values())
    gc.collect()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    now = pages * resource.getpagesize()
    return {"seconds": seconds, "above": peak - now, "size": size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where to write the model; a temporary folder by default")
    parser.add_argument("--worker", choices=CONTESTANTS, help="a contestant's own process")
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(read(options.worker, Path(options.folder))))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write(folder, options.megabytes)
        largest = 32_000 * 1024 * 4
        found: dict[str, list[dict]] = {contestant: [] for contestant in CONTESTANTS}
        for _ in range(options.rounds):
            for contestant in CONTESTANTS:
                command = [sys.executable, __file__, f"--worker={contestant}", f"--folder={name}"]
                out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found[contestant].append(json.loads(out.splitlines()[-1]))
    print(f"{'':<24}{'GB':>6}{'seconds':>9}{'GB/s':>7}{'above':>8}   of {options.rounds} rounds")
    for contestant, rows in found.items():
        seconds = statistics.median(row["seconds"] for row in rows)
        size, above = rows[0]["size"] / 1e9, max(row["above"] for row in rows) / largest
        print(f"{contestant:<24}{size:>6.2f}{seconds:>9.2f}{size / seconds:>7.2f}{above:>8.2f}")


if __name__ == "__main__":
    main()
