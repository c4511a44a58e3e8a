"""A config file as an ablation reads it: the config of each seed, and what the file says to vary."""

import importlib.util
import inspect
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from bigmodel_jax import config as configs
from bigmodel_jax.ablations import overrides
from bigmodel_jax.errors import UserError


class ConfigFile:
    """configs/NAME.py[:variant,key=value].

    Args:
        name: as --config names it.
        given: its config, with `overridden` in it.
        overridden: of the command line, --config.KEY=value, by dotted key.
    """

    def __init__(self, name: str, given: Mapping, overridden: Mapping[str, Any]):
        self.name, self._given, self._overridden = name, configs.complete(given), overridden
        self._path, _, self._arg = name.partition(":")
        self._module: ModuleType | None = None

    @property
    def seed(self) -> int:
        """The first one."""
        return self._given["seed"]

    def config(self, seed: int) -> dict:
        """The completed config of a seed: that of `:seed=N`, where the file takes such an argument.

        A file may make more of the seed than config.seed, other training examples for instance.
        """
        if seed == self.seed:
            return dict(self._given)
        words = [w for w in self._arg.split(",") if w and not w.startswith("seed=")]
        get_config = self._load().get_config
        try:
            takes = bool(inspect.signature(get_config).parameters)
            made = get_config(",".join([*words, f"seed={seed}"])) if takes else None
        except UserError:  # it knows no seed
            made = None
        if made is None:
            return {**self._given, "seed": seed}
        changed = {k: v for k, v in self._overridden.items() if k != "seed"}
        return {**overrides.apply(configs.complete(made), changed), "seed": seed}

    def ablations(self) -> Any:
        """What its get_ablations() returns, None where it has none; it may take the argument."""
        found = getattr(self._load(), "get_ablations", None)
        if found is None:
            return None
        return found(self._arg or None) if inspect.signature(found).parameters else found()

    def _load(self) -> ModuleType:
        if self._module is None:
            path = Path(self._path)
            spec = importlib.util.spec_from_file_location(f"ablated_{path.stem}", path)
            assert spec and spec.loader
            self._module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self._module)
        return self._module
