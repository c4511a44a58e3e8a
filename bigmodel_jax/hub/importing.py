"""A published model becomes the directory of a run, which every other command knows what to do with.

assets/tokenizer.json, labels.json      as published
assets/published/                       config.json and the tokenizer's other files, for `export`
"""

import json
import shutil
from pathlib import Path
from typing import Any

import jax

from bigmodel_jax import checkpoint, config, rundir, sharding
from bigmodel_jax.data.encoding import save_labels
from bigmodel_jax.data.token_files import TOKENIZER
from bigmodel_jax.data.tokenizers import raw
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError
from bigmodel_jax.hub import published as reading
from bigmodel_jax.hub import vocabularies
from bigmodel_jax.hub.loading import load
from bigmodel_jax.hub.published import Published
from bigmodel_jax.steps import TrainState

KEPT = (
    "config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json",
    "preprocessor_config.json",
)  # fmt: skip
ROW = 512  # tokens at most of a row, where `predict` is asked about a language model


def bring(folder: Path, workdir: str, architecture: str | None = None) -> str:
    """Writes the run of the published model in `folder`, which appears by one rename.

    The arrays are spread over all devices.

    Args:
        architecture: see published.read.

    Returns:
        What became of each array, and a sentence about the run.

    Raises:
        UserError: of published.read; or `workdir` is there already.
    """
    path = Path(workdir).expanduser()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"--workdir {path} is there already: choose another.")
    found = reading.read(folder, architecture)
    tokenizer = _tokenizer(found)
    mesh = sharding.make_mesh({"fsdp": -1})
    with sharding.use(mesh):
        variables = load(found, reading.abstract(found.model, mesh))
    with rundir.new_run(path) as run:
        with checkpoint.Checkpointer(run.path / "checkpoints", Clock(1, 1), "1 steps") as keeper:
            keeper.save(0, TrainState(jax.numpy.int32(0), variables, {}), {})
        if jax.process_index() == 0:
            _write_assets(found, tokenizer, run.path / "assets")
            spec = _config(found, tokenizer, path.absolute() / "assets")
            rundir.replace(run.path / "config.json", config.to_json(spec))
        run.write_about({"imported_from": str(folder.absolute())})
    return describe(found) + f"\n{path}: {_size(variables['params']):,} parameters of {folder}."


def describe(found: Published) -> str:
    """What became of every array, a line for those of all layers."""
    layers: dict[tuple[str, str], list[str]] = {}
    for link in found.links:
        layers.setdefault(link.row, []).append(link.layer)
    width = max(len(theirs) for theirs, _ in layers)
    lines = []
    for (theirs, ours), numbers in layers.items():
        span = f"  {{}} = 0 to {numbers[-1]}" if numbers[0] else ""
        lines.append(f"  {theirs:<{width}}  ->  {ours}{span}")
    lines += [
        f"  {name:<{width}}  has no place in our model, and is left out" for name in found.dropped
    ]
    return "\n".join(lines)


def _size(params) -> int:
    return sum(x.size for x in jax.tree.leaves(params))


def _tokenizer(found: Published) -> raw.Tokenizer | None:
    """The published one, checked; None where the model reads no text or there is none that we read."""
    file = found.folder / TOKENIZER
    if "vocabulary_size" not in found.model:
        return None
    tokenizer = raw.Tokenizer(path=str(file))
    if file.is_file():
        tokenizer.train(())
    elif made := vocabularies.read(found.folder, found.given["model_type"]):
        tokenizer.take(made)
    else:
        print(
            f"NOTE: {found.folder} holds no tokenizer.json, nor the vocab.txt or the vocab.json and "
            "merges.txt of a tokenizer that we know: the run reads no text. transformers' "
            "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) makes one of other files."
        )
        return None
    size = found.model["vocabulary_size"]
    if tokenizer.vocabulary_size > size:
        raise UserError(
            f"The tokenizer of {found.folder} has {tokenizer.vocabulary_size:,} tokens, and the model's vocabulary is "
            f"{size:,}: it is another model's."
        )
    return tokenizer


def _write_assets(found: Published, tokenizer: raw.Tokenizer | None, assets: Path) -> None:
    (assets / "published").mkdir(parents=True)
    rundir.replace(assets / "published" / KEPT[0], json.dumps(found.given, indent=2) + "\n")
    for name in KEPT[1:]:
        if (found.folder / name).is_file():
            shutil.copyfile(found.folder / name, assets / "published" / name)
    if tokenizer is not None:
        tokenizer.save(assets)
    if found.model.get("num_classes"):
        save_labels(assets, reading.label_names(found.given))


def _config(found: Published, tokenizer: raw.Tokenizer | None, assets: Path) -> dict[str, Any]:
    """The config of a run that trained the model: what applying it and starting from it need."""
    kind, head = found.model["name"], found.model.get("head")
    length = min(found.model.get("max_length") or ROW, ROW)
    task: dict[str, Any] = {"name": "classify"}
    data: dict[str, Any] = {"name": "nothing"}  # which reads no text that `predict` could be given
    if head == "lm" and kind == "gpt":
        task, data = {"name": "next_token"}, {"name": "tokens", "length": length}
    elif kind == "t5":
        sizes = {"source_length": length, "target_length": length}
        task, data = {"name": "seq2seq"}, {"name": "pairs", **sizes}
    elif head == "lm":
        mask, special = getattr(tokenizer, "mask", None), getattr(tokenizer, "special", ())
        task = {"name": "masked_lm", "mask_id": mask or 0, "special_ids": sorted(special)}
        data = {"name": "tokens", "length": length, "shift": False}
    elif head == "tag":
        task, data = {"name": "tag"}, {"name": "conll", "max_length": length}
    elif head == "span":  # whether questions had answers all, no file says: both are shown
        task = {"name": "span_answering", "unanswerable": True}
        half = {"stride": min(128, length // 2), "max_question": min(64, length // 2)}
        data = {"name": "answers", "max_length": length, **half}
    elif kind in ("vit", "resnet"):
        data, units = _of_images(found)
        task |= units
    elif head == "classify" and tokenizer is not None:
        data = {"name": "text", "reader": {}, "max_length": length, "keep": "head"}
    if tokenizer is not None:
        data["tokenizer"] = {"name": "raw", "path": str(assets / TOKENIZER)}
    return {**config.DEFAULTS, "model": found.model, "task": task, "data": data}


def _of_images(found: Published) -> tuple[dict[str, Any], dict[str, Any]]:
    """(config.data, what else the task is told) of a model of images, by preprocessor_config.json.

    Without that file a size of 224, and a mean and a deviation of 0.5, which is said.
    """
    given = found.images
    if not given:
        print(
            f"NOTE: {found.folder} has no preprocessor_config.json: images are brought from 0 to 1 to "
            "-1 to 1; another mean and std are config.task's.",
            flush=True,
        )
    channels = found.model.get("channels", 3)
    sizes = given.get("size") or {}
    sizes = sizes if isinstance(sizes, dict) else {"height": sizes}
    size = found.model.get("image_size") or sizes.get("height") or sizes.get("shortest_edge") or 224
    units = {
        ours: tuple(given.get(theirs) or [0.5] * channels)
        for ours, theirs in (("mean", "image_mean"), ("std", "image_std"))
    }
    crop = float(given.get("crop_pct") or 1.0)
    data = {"name": "images", "reader": {}, "image_size": size, "channels": channels, "crop": crop}
    return data, units


def read_json(path: Path) -> dict:
    """A file that `bring` kept, or nothing where it is not there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
