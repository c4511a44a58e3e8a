"""What a fine-tuning config leaves to the run that it starts from: the model and the tokenizer.

    config.init_from.path = "runs/imdb_mlm"
    config.model = dict(name="pretrained", head="classify", pooling="mean")
    config.data.tokenizer = dict(name="pretrained")

become that run's model, with these fields in place of its own, and the tokenizer in its assets. So one
config fine-tunes any run, and its own config.json needs no other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigmodel_jax import rundir
from bigmodel_jax.errors import UserError

PRETRAINED = "pretrained"


def inherit(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with everything named "pretrained" taken from the run at config.init_from.path.

    Raises:
        UserError: there is no such path, it is no run, or its tokenizer cannot be used again.
    """
    model, data = config["model"], config["data"]
    tokenizer = data.get("tokenizer") or {}
    if PRETRAINED not in (model.get("name"), tokenizer.get("name")):
        return dict(config)
    path = config["init_from"]["path"]
    if not path:
        raise UserError(
            "Which run to start from? --config.init_from.path=RUN names the directory of one."
        )
    run = Path(path).expanduser().absolute()
    parent = rundir.read_config(run)
    config = {**config, "init_from": {**config["init_from"], "path": str(run)}}
    if model.get("name") == PRETRAINED:
        own = {k: v for k, v in model.items() if k != "name" and v is not None}
        config["model"] = {**parent["model"], **own}
    if tokenizer.get("name") == PRETRAINED:
        config["data"] = {**data, "tokenizer": _tokenizer(run, parent)}
    return config


def _tokenizer(run: Path, parent: Mapping) -> dict[str, Any]:
    """The spec of a tokenizer that reads the run's own."""
    given = parent["data"].get("tokenizer") or {"name": "raw"}  # of a token file: as raw reads it
    file = run / "assets" / "tokenizer.json"
    if given["name"] not in ("raw", "published"):
        raise UserError(
            f"The tokenizer of {run} is of the kind {given['name']!r}, which a file alone does not make "
            "again: a run to start from has dict(name='raw') or dict(name='published')."
        )
    if not file.is_file():
        raise UserError(f"{file}, the tokenizer of the run to start from, is not there.")
    return {"name": given["name"], "path": str(file)}
