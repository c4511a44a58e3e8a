"""A config under examination: what all laws share, computed once."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigmodel_jax.config import complete, to_json
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.inheritance import inherit
from bigmodel_jax.verifying import chance, stepping


class Subject:
    """A config, short runs of it, and where they live.

    Args:
        config: as it is given to `train`.
        folder: an empty one, for runs.
        steps: of a run at least, raised to twice a multiple of the steps of a dispatch.

    Attributes:
        config: completed, with everything taken from its parent run and with its data.
        substitute: what is to be said of the data where they are not the ones wished for.
        total, half: steps of a run, and where it is stopped.
    """

    def __init__(self, config: Mapping, data_dir: str, folder: Path, steps: int = 6):
        self.data_dir, self.folder = data_dir, folder
        self.config = inherit(complete(config))
        self.config["data"], self.substitute = resolve_data(self.config["data"], data_dir=data_dir)
        self.half = self.config["repeat"] * -(-steps // (2 * self.config["repeat"]))
        self.total = 2 * self.half
        self._descents: dict[str, stepping.Descent] = {}

    @functools.cached_property
    def short(self) -> dict[str, Any]:
        """The config for a run of a few steps that looks at no evaluation split.

        It logs at its end alone, so that a stop on the way cuts a window of metrics in two.
        """
        return {
            **self.config,
            "duration": f"{self.total} steps",
            "log_every": f"{self.total} steps",
            "checkpoint": {"every": f"{self.total} steps"},
            **dict.fromkeys(("evals", "early_stopping", "reduce_on_plateau"), {}),
            "histograms": "",
        }

    def train(self, name: str, config: Mapping | None = None, **options) -> tuple[Path, Any]:
        """(its directory, the last state) of a run of `short` or of another config."""
        from bigmodel_jax.train import train

        workdir = self.folder / name
        state = train(config or self.short, str(workdir), data_dir=self.data_dir, **options)
        return workdir, state

    @functools.cached_property
    def straight(self) -> tuple[Path, Any]:
        """A run that nothing disturbs."""
        return self.train("straight")

    def descent(self, config: Mapping, mesh_shape: Mapping[str, int] | None = None):
        """stepping.descent of a config, remembered."""
        key = f"{to_json(config)}{mesh_shape}"
        if key not in self._descents:
            self._descents[key] = stepping.descent(config, self.data_dir, mesh_shape)
        return self._descents[key]

    @functools.cached_property
    def descending(self) -> dict[str, Any]:
        """The config for one step of plain descent."""
        optimizer = stepping.descending(self.config["optimizer"])
        return {**self.config, "optimizer": optimizer, "evals": {}}

    @functools.cached_property
    def certain(self) -> dict[str, Any]:
        """`descending` without dropout, where nothing is left to chance.

        Raises:
            DoesNotApply: even so a step draws something (a mask, noise), or has several players.
        """
        return chance.removed(self.descending, self.data_dir)

    def can_have(self, key: str) -> bool:
        """Whether the model has a field."""
        from bigmodel_jax.config import fields

        return key in fields("models", self.config["model"]["name"])
