"""What a fine-tuning config leaves to the run that it starts from: the model and the tokenizer.

    config.init_from.path = "runs/imdb_mlm"
    config.model = dict(name="pretrained", head="classify", pooling="mean")
    config.data.tokenizer = dict(name="pretrained")

become that run's model, with these fields in place of its own, and the tokenizer in its assets. What
the one has as a head and the other has not is dropped, or starts fresh. So one config fine-tunes any
run, and its own config.json needs no other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bigmodel_jax import checkpoint, graft, rundir
from bigmodel_jax.config import build, component, fields
from bigmodel_jax.data.token_files import kind_of
from bigmodel_jax.errors import UserError

PRETRAINED = "pretrained"
OF_HEADS = ("head", "pooling")  # fields that say nothing to a model that is a classifier throughout
HEADS = ("classifier", "head", "mlm", "pool", "pooler")  # parameters that serve a model's output
OF_IMAGES = ("classifier", "pooler", "decoder", "decoder_embed", "mask_token", "pixels")  # theirs
OF_CLASSES = ("classifier", "head")  # those that know how many classes there are
REREAD = ("raw", "published")  # tokenizers that their file alone makes again


def inherit(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with everything named "pretrained" taken from the run at config.init_from.path.

    Raises:
        UserError: there is no such path, it is no run, a LoRA run that is not merged, a model with
            nothing to start from, or one that is too short for the data; its tokenizer is not there.
    """
    config = _taught(config)
    model, data = config["model"], config["data"]
    tokenizer = data.get("tokenizer") or {}
    if PRETRAINED not in (model.get("name"), tokenizer.get("name")):
        return dict(config)
    path = config["init_from"]["path"]
    if not path:
        raise UserError(
            "Which run to start from? --config.init_from.path=RUN names the directory of one."
        )
    found, run = graft.locate(path)
    if run is None:
        raise UserError(f"config.init_from.path: {found} is of no run that says what its model is.")
    parent = rundir.read_config(run)
    if parent["task"]["name"] == "lora":
        raise UserError(
            f"{run} is a LoRA run: make plain parameters of it first, python -m bigmodel_jax.merge "
            f"--workdir={run} --output=DIR, and start from DIR."
        )
    path = str(Path(path).expanduser().absolute())
    config = {**config, "init_from": {**config["init_from"], "path": path}}
    if tokenizer.get("name") == PRETRAINED:
        more = {k: v for k, v in tokenizer.items() if k != "name"}
        config["data"] = {**data, "tokenizer": {**_tokenizer(run, parent), **more}}
    if model.get("name") == PRETRAINED and data["name"] == "images":
        return _of_images(config, parent, found)
    if model.get("name") == PRETRAINED:
        own = {k: v for k, v in model.items() if k != "name" and v is not None}
        config["model"] = child(parent["model"], own)
        config["init_from"] = heads(parent["model"], config["model"], config["init_from"])
        _check_length(config, run)
        if tokenizer.get(
            "added"
        ):  # rows of the model's table that its own tokenizer left unused go first
            grown = build("data.tokenizers", config["data"]["tokenizer"])
            grown.train(())
            size = max(config["model"]["vocabulary_size"], grown.vocabulary_size)
            config["model"] = {**config["model"], "vocabulary_size": size}
    return config


def _of_images(
    config: Mapping[str, Any], parent: Mapping[str, Any], checkpoint_folder: Path
) -> dict[str, Any]:
    """The config with a parent's model of images, for classes and images of its own, and its units.

    What only painted pixels (models/mae.py) is dropped; learnt positions of patches are resized to the
    images at hand.
    """
    given = parent["model"]["name"]
    name = "vit" if given == "mae" else given
    own = {k: v for k, v in config["model"].items() if k != "name" and v is not None}
    kept = set(fields("models", name)) - {"num_classes", "image_size", "channels", "head"}
    spec = {k: v for k, v in parent["model"].items() if k in kept}
    saved = checkpoint.saved_variables(checkpoint_folder)
    heads = {path.split("/")[1] for path in saved if path.startswith("params/")} & {*OF_IMAGES}
    rules = config["init_from"]
    resized = any("grid_positions" in path for path in saved)
    init_from = {
        **rules,
        "drop": (*rules["drop"], *(f"{part}(/.*)?" for part in sorted(heads))),
        "fresh": (*rules["fresh"], "classifier/.*"),
        "resize": (*rules["resize"], *(["grid_positions/embedding"] if resized else [])),
    }
    inner = parent["task"].get("task", parent["task"])
    units = {k: inner[k] for k in ("mean", "std") if inner.get(k) is not None}
    return {
        **config,
        "model": {"name": name, **spec, **own},
        "init_from": init_from,
        "data": {**units, **config["data"]},
    }


def _taught(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with the specs of a teacher taken from its run (tasks/distill.py)."""
    task = config["task"]
    if task.get("name") != "distill" or "teacher_model" in task:
        return dict(config)
    path = str(Path(task.get("teacher", "")).expanduser().absolute())
    given = rundir.read_config(path)
    if given["task"]["name"] == "lora":
        raise UserError(
            f"The teacher {path} is a LoRA run: merge it first, python -m bigmodel_jax.merge."
        )
    spec = given["task"]["task"] if given["task"]["name"] == "distill" else given["task"]
    taught = {"teacher": path, "teacher_model": given["model"], "teacher_task": spec}
    return {**config, "task": {**task, **taught}}


def child(parent: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of a parent's model under another head.

    How many classes there are, the data say; so they do of the length of a text, where nothing of
    the model depends on it.

    Args:
        own: fields in place of the parent's.

    Raises:
        UserError: a model of which nothing is left without its head, or that has not the wanted one.
    """
    name = parent["name"]
    if name == "bag":
        raise UserError(
            "The model of the run to start from is a bag of n-grams, in which all is of its classes: "
            "start from one that embeds words or pieces."
        )
    known = fields("models", name)
    if not {"head", "num_classes"} & set(known):
        if head := own.get("head"):
            raise UserError(
                f"The model of the run to start from is {name!r}, which writes one text from another: "
                f"for head={head!r} start from a run of gpt or bert."
            )
        return {**parent, **own}
    if "head" not in known:
        if (head := own.get("head", "classify")) != "classify":
            raise UserError(
                f"The model of the run to start from is {name!r}, which classifies whole texts: for "
                f"head={head!r} start from a run of gpt or bert."
            )
        own = {k: v for k, v in own.items() if k not in OF_HEADS}
    if "head" in known and parent.get("head", "lm") in ("lm", "tag", "span"):
        own = {"pooling": "mean", **own}  # no other has learnt anything
    spec = {k: v for k, v in parent.items() if k != "num_classes"}
    if _positions(spec) == "rope":
        spec.pop("max_length", None)
    return {**spec, **own}


def heads(parent: Mapping, model: Mapping, rules: Mapping[str, Any]) -> dict[str, Any]:
    """config.init_from with what becomes of both models' heads.

    Of what both have a language model's head and a pooler are taken, but a classifier starts fresh.
    A model that knows no classes has no other head than its own.
    """
    if "num_classes" not in fields("models", parent["name"]):
        return dict(rules)
    theirs, ours = _parts(parent), _parts(model)
    lm = parent.get("head") == model.get("head") == "lm"
    fresh = [p for p in HEADS if p in ours and (p not in theirs or (p in OF_CLASSES and not lm))]
    drop = [p for p in HEADS if p in theirs and (p not in ours or p in fresh)]
    return {
        **rules,
        "drop": (*rules["drop"], *(f"{part}/.*" for part in drop)),
        "fresh": (*rules["fresh"], *(f"{part}/.*" for part in fresh)),
    }


def _parts(spec: Mapping) -> set[str]:
    """The first names of a model's parameters."""
    if "num_classes" in fields("models", spec["name"]):
        spec = {"num_classes": 2, **spec}
    model, tokens = build("models", spec), np.zeros((1, 4), np.int32)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), tokens, tokens > 0))
    return set(shapes["params"])


def _positions(spec: Mapping) -> str | None:
    """The kind of a model's positions, where it has a choice."""
    return spec.get("positions", getattr(component("models", spec["name"]), "positions", None))


def _check_length(config: Mapping, run: Path) -> None:
    """Raises a UserError for texts that are longer than a table of positions."""
    spec, data = config["model"], config["data"]
    if "max_length" not in spec or _positions(spec) != "learned":
        return
    key = "length" if "length" in data else "max_length"
    if data.get(key, 0) > spec["max_length"]:
        raise UserError(
            f"config.data.{key} is {data[key]}, but the model of {run} has positions for "
            f"{spec['max_length']} tokens: --config.data.{key}={spec['max_length']}."
        )


def _tokenizer(run: Path, parent: Mapping) -> dict[str, Any]:
    """The spec of a tokenizer that reads the run's own."""
    file = run / "assets" / "tokenizer.json"
    if not file.is_file():
        raise UserError(f"{file}, the tokenizer of the run to start from, is not there.")
    given = parent["data"].get("tokenizer") or {"name": kind_of(file)}  # of a token file
    if given["name"] in REREAD:
        return {"name": given["name"], "path": str(file)}
    return {"name": "saved", "path": str(file), "spec": given.get("spec", given)}
