"""A run becomes a folder that transformers' from_pretrained loads: config.json, safetensors, tokenizer."""

import json
import math
import os
import re
import shutil
from pathlib import Path

import jax
import numpy as np

from bigmodel_jax import checkpoint, rundir
from bigmodel_jax.errors import UserError
from bigmodel_jax.hub import axes, companions, layout, published
from bigmodel_jax.hub.importing import read_json
from bigmodel_jax.hub.layout import Link
from bigmodel_jax.hub.safetensors import Writer
from bigmodel_jax.hub.target import Target, find

SIZES = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


def publish(workdir: str, output: str, max_shard_size: str = "5GB") -> str:
    """Writes the folder, which appears by one rename; no more than a stack of layers is in memory.

    Returns:
        A sentence about what was written.

    Raises:
        UserError: the run is a LoRA run, no published architecture is like its model, it is damaged;
            `output` is there already; or `max_shard_size` is no size.
    """
    final = Path(output).expanduser().absolute()
    if final.exists():
        raise UserError(f"--output {final} is there already: choose another.")
    limit = _size(max_shard_size)
    given, run = rundir.read_config(workdir), Path(workdir).expanduser()
    if given["task"].get("name") == "lora":
        raise UserError(
            f"{run} is a LoRA run: make plain parameters of it first, python -m bigmodel_jax.merge "
            f"--workdir={run} --output=DIR, and export that."
        )
    chosen = rundir.chosen_checkpoint(workdir)
    if damage := checkpoint.verify(chosen):
        raise UserError(f"The checkpoint {chosen} is damaged: {damage}.")
    kept = read_json(run / "assets" / "published" / "config.json")
    target = find(given["model"], kept.get("model_type"), str(kept.get("architectures", [""])[0]))
    saved = checkpoint.saved_variables(chosen)
    collection = "ema/" if any(path.startswith("ema/") for path in saved) else "params/"
    arrays = {p.removeprefix(collection): x for p, x in saved.items() if p.startswith(collection)}
    arrays |= {path: x for path, x in saved.items() if path.startswith("batch_stats/")}
    part = final.with_name(f"{final.name}.unfinished")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    count = _write_arrays(part, chosen, collection, arrays, target, limit)
    dtype = next(iter(arrays.values())).dtype.name
    companions.write(part, run, target, kept, dtype, given["model"].get("max_length"))
    os.replace(part, final)
    return f"{final}: step {chosen.name} of {run} as {target.architecture}, {count:,} arrays."


def _write_arrays(part, chosen, collection, arrays, target: Target, limit: int) -> int:
    """Writes the files of parameters; how many arrays there are."""
    shapes, places = _unrolled(arrays)
    rows = published.rows(target.layout, target.head, target.model)
    groups: dict[tuple, list[Link]] = {}  # by the arrays that they are made from
    for link in layout.links(rows, shapes):
        groups.setdefault(tuple(places[path][0] for path in link.ours), []).append(link)
    shards = _shards(groups, shapes, limit)
    names = [
        f"model-{i:05}-of-{len(shards):05}.safetensors" if len(shards) > 1 else "model.safetensors"
        for i in range(1, len(shards) + 1)
    ]
    index, total = {}, 0
    for name, shard in zip(names, shards, strict=True):
        entries = {
            link.theirs: (np.dtype(shapes[link.ours[0]].dtype), link.shape(shapes))
            for group in shard
            for link in groups[group]
        }
        writer = Writer(part / name, entries)
        for group in shard:
            read = _read(chosen, collection, group, arrays)
            for link in groups[group]:
                ours = [_layer(read[places[path][0]], places[path][1]) for path in link.ours]
                writer.write([axes.to_theirs(link.axes, ours)])
        writer.close()
        index |= dict.fromkeys(entries, name)
        total += sum(math.prod(shape) * dtype.itemsize for dtype, shape in entries.values())
    if len(names) > 1:
        content = {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))}
        rundir.replace(part / "model.safetensors.index.json", json.dumps(content, indent=2) + "\n")
    return len(index)


def _unrolled(arrays):
    """(shapes, (saved path, layer or None)), each by the path that it has in an unrolled model."""
    shapes, places = {}, {}
    for path, x in arrays.items():
        stack = re.fullmatch(r"((?:.*/)?)blocks/(.*)", path)
        if not stack:
            shapes[path], places[path] = x, (path, None)
            continue
        for i in range(x.shape[0]):
            name = f"{stack[1]}block_{i}/{stack[2]}"
            shapes[name] = jax.ShapeDtypeStruct(x.shape[1:], x.dtype)
            places[name] = (path, i)
    return shapes, places


def _shards(groups, shapes, limit) -> list[list[tuple]]:
    """The groups of each file, in order; one that is larger than a file has one for itself."""
    shards, room = [], 0
    for group, links in groups.items():
        size = sum(
            math.prod(x.shape) * np.dtype(x.dtype).itemsize
            for link in links
            for x in (shapes[path] for path in link.ours)
        )
        if not shards or size > room:
            shards.append([])
            room = limit
        shards[-1].append(group)
        room -= size
    return shards


def _read(chosen, collection, group, arrays) -> dict[str, np.ndarray]:
    here = jax.sharding.SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
    places = {p: p if p.startswith("batch_stats/") else f"{collection}{p}" for p in group}
    wanted = {
        places[path]: jax.ShapeDtypeStruct(arrays[path].shape, arrays[path].dtype, sharding=here)
        for path in group
    }
    read = checkpoint.restore_part(chosen, wanted)
    return {path: np.asarray(read[place]) for path, place in places.items()}


def _layer(x: np.ndarray, number: int | None) -> np.ndarray:
    return x if number is None else x[number]


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+)\s*(KB|MB|GB)", text.strip().upper())
    if not found or not int(found[1]):
        raise UserError(f"--max_shard_size is {text!r}: a number of KB, MB or GB, as 500MB.")
    return int(found[1]) * SIZES[found[2]]
