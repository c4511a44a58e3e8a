"""A stand-in for the run that a config starts from, where that was never made."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigmodel_jax.runtime import find_config


def stand_in(config: Mapping, data_dir: str, folder: Path) -> tuple[dict[str, Any], str | None]:
    """The config, starting from what is there; and a sentence where a stand-in was made.

    Of "runs/imdb_mlm", which is not there, configs/imdb_mlm.py at `tiny` is trained for a step.

    Raises:
        UserError: there is no config of that name either.
    """
    from bigmodel_jax.train import train

    path = config.get("init_from", {}).get("path")
    if not path or Path(path).expanduser().exists():
        return dict(config), None
    name, *words = Path(path).name.split("-")
    find_config(f"configs/{name}.py")
    arg = ",".join([*words, "tiny"])
    parent = importlib.import_module(f"configs.{name}").get_config(arg).to_dict()
    short = {"duration": f"{parent['repeat']} steps", "evals": {}, "early_stopping": {}}
    workdir = folder / "parent"
    train({**parent, **short, "log_every": short["duration"]}, str(workdir), data_dir=data_dir)
    said = f"{path} is not there: configs/{name}.py:{arg}, trained for a step, stands in for it."
    return {**config, "init_from": {**config["init_from"], "path": str(workdir)}}, said
