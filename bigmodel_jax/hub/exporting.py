"""A run becomes a folder that transformers' from_pretrained loads: config.json, safetensors, tokenizer."""

import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from bigmodel_jax import checkpoint, config, rundir
from bigmodel_jax.data import published
from bigmodel_jax.data.encoding import load_labels
from bigmodel_jax.data.token_files import TOKENIZER, kind_of
from bigmodel_jax.data.tokenizers.published import MASKS, SEPARATORS
from bigmodel_jax.errors import UserError
from bigmodel_jax.hub import axes, layout, settings
from bigmodel_jax.hub.importing import KEPT, read_json
from bigmodel_jax.hub.layout import Head, Link
from bigmodel_jax.hub.published import find_layout, known
from bigmodel_jax.hub.safetensors import Writer
from bigmodel_jax.hub.settings import Unlike

# Fields of our models that say nothing about what is computed once training is over.
FREE = {
    "name", "parent", "head", "num_classes", "pooling", "dropout", "embed_dropout", "word_dropout",
    "scan", "remat", "dtype", "param_dtype", "max_length", "vocabulary_size",
}  # fmt: skip
ROLES = {
    "pad": ("[PAD]", "<pad>", "<padding>"),
    "unk": ("[UNK]", "<unk>", "<unknown>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>", "<separator>"),
    "mask": MASKS,
    "bos": ("<s>", "<|begin_of_text|>", "<bos>"),
    "eos": SEPARATORS[1:],
}
OF_HEADS = ("head", "pooling")
SIZES = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


class Target(NamedTuple):
    """What a model is published as."""

    name: str
    layout: ModuleType
    head: Head
    architecture: str
    settings: dict[str, Any]


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
    part = final.with_name(f"{final.name}.unfinished")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    count = _write_arrays(part, chosen, collection, arrays, target, limit)
    dtype = next(iter(arrays.values())).dtype.name
    _write_settings(part, run, target, kept, dtype)
    _write_tokenizer(part, run, given["model"].get("max_length"))
    os.replace(part, final)
    return f"{final}: step {chosen.name} of {run} as {target.architecture}, {count:,} arrays."


def find(model: Mapping[str, Any], kind: str | None = None, architecture: str = "") -> Target:
    """The architecture that a model's spec is of.

    Args:
        kind: the model_type that the model was imported from, where it was; else the first that fits.
        architecture: the class, the same.

    Raises:
        UserError: there is none; says how the nearest differs.
    """
    spec = full(model)
    unlike = []
    for name in sorted(known(), key=lambda name: name != kind):
        found = find_layout(name)
        if model["name"] != found.MODEL:
            continue
        try:
            written = settings.write(spec, found.SETTINGS)
            if hasattr(found, "write_more"):
                written |= found.write_more(spec)
            settings.demand(spec, _demanded(found, model["name"]))
            head = _head(spec, found, architecture)
        except Unlike as error:
            unlike.append(f"{name} has {error}")
            continue
        return Target(name, found, found.HEADS[head], head, written)
    if not unlike:
        raise UserError(f"No published architecture is known for the model {model['name']!r}.")
    raise UserError(f"No published architecture is like this model: {'; '.join(unlike)}.")


def full(model: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of a model, those that its spec leaves out as its class has them."""
    built = config.build("models", model)
    spec = {name: getattr(built, name) for name in config.fields("models", model["name"])}
    if spec.get("mlp_dim", 0) is None:
        spec["mlp_dim"] = 4 * spec["width"]
    return {name: list(x) if isinstance(x, tuple) else x for name, x in spec.items()}


def _demanded(found: ModuleType, name: str) -> dict[str, Any]:
    """What each field that the architecture does not write must be: as it says, or as by default."""
    kind = config.component("models", name)
    written = {setting.ours for setting in found.SETTINGS} | set(getattr(found, "WRITTEN", ()))
    fields = {f for f in config.fields("models", name) if f not in FREE and f not in written}
    return {field: found.OURS.get(field, getattr(kind, field)) for field in sorted(fields)}


def _head(spec: Mapping, found: ModuleType, architecture: str) -> str:
    """The first class whose fields are the model's, or the wanted one."""
    fits = [
        name
        for name, head in found.HEADS.items()
        if head.whole and all(spec.get(k, v) == v for k, v in head.fields.items())
    ]
    if not fits:
        known = dict.fromkeys(_words(x.fields) for x in found.HEADS.values() if x.whole)
        raise Unlike(f"{' or '.join(known)}, not {_words({k: spec.get(k) for k in OF_HEADS})}")
    return architecture if architecture in fits else fits[0]


def _words(fields: Mapping[str, Any]) -> str:
    return " with ".join(f"{key}={value!r}" for key, value in fields.items())


def _write_arrays(part, chosen, collection, arrays, target: Target, limit: int) -> int:
    """Writes the files of parameters; how many arrays there are."""
    shapes, places = _unrolled(arrays)
    rows = (*target.layout.PARAMETERS, *target.head.rows)
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
    wanted = {
        f"{collection}{path}": jax.ShapeDtypeStruct(
            arrays[path].shape, arrays[path].dtype, sharding=here
        )
        for path in group
    }
    read = checkpoint.restore_part(chosen, wanted)
    return {path.removeprefix(collection): np.asarray(x) for path, x in read.items()}


def _layer(x: np.ndarray, number: int | None) -> np.ndarray:
    return x if number is None else x[number]


def _write_settings(part: Path, run: Path, target: Target, kept: Mapping, dtype: str) -> None:
    """config.json: what the model was imported with, where it was, and over it what it is now."""
    content = {
        **kept,
        **target.settings,
        "model_type": target.name,
        "architectures": [target.architecture],
        "dtype": dtype,
    }
    if (run / "assets" / "labels.json").is_file():
        labels = load_labels(run / "assets")
        content["id2label"] = {str(i): name for i, name in enumerate(labels)}
        content["label2id"] = {name: i for i, name in enumerate(labels)}
    rundir.replace(part / "config.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _write_tokenizer(part: Path, run: Path, length: int | None) -> None:
    """tokenizer.json where the run has one of that kind, and what it was imported with.

    Without the latter the tokens of each role go by their usual names.
    """
    for name in KEPT[1:]:
        if (kept := run / "assets" / "published" / name).is_file():
            shutil.copyfile(kept, part / name)
    file = run / "assets" / TOKENIZER
    if not file.is_file():
        return
    if kind_of(file) != "raw":
        print(f"NOTE: {file} is a tokenizer of our own kind, which transformers does not read.")
        return
    shutil.copyfile(file, part / TOKENIZER)
    if not (part / "tokenizer_config.json").is_file():
        known = published.parse(file.read_bytes(), str(file)).get_vocab(with_added_tokens=True)
        content = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": length}
        for role, names in ROLES.items():
            content |= {f"{role}_token": name for name in names[::-1] if name in known}
        rundir.replace(part / "tokenizer_config.json", json.dumps(content, indent=2) + "\n")


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+)\s*(KB|MB|GB)", text.strip().upper())
    if not found or not int(found[1]):
        raise UserError(f"--max_shard_size is {text!r}: a number of KB, MB or GB, as 500MB.")
    return int(found[1]) * SIZES[found[2]]
