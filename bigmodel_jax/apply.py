"""Applies a run: its model with its chosen parameters, from its directory alone.

    with load_run("runs/imdb") as run:
        probabilities = run.predict(["I have never seen a better film."])  # [texts, classes]

No data set is opened, and the machine may have another number of devices than the run had.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bigmodel_jax import experiment, rundir, sharding
from bigmodel_jax.checkpoint import restore_variables
from bigmodel_jax.data import text
from bigmodel_jax.errors import UserError


class Applied:
    """A trained classifier of texts.

    Attributes:
        config: of the run, resolved.
        task, variables: what evaluators ask for; of an averaged model, the average.
        mesh: all devices of this machine.
        step: of the checkpoint that the variables are from.
        label_names: index = label id.
    """

    def __init__(self, config: Mapping, mesh: jax.sharding.Mesh, checkpoint: Path, assets: Path):
        self.config, self.mesh, self.step = config, mesh, int(checkpoint.name)
        self.task = experiment.make_task(config)
        self._rows = mesh.shape["data"] * mesh.shape["fsdp"]
        self._tokenizer, self.label_names = text.load_assets(assets, config["data"])
        init = experiment.make_init(config, self.task, self._batch([""], self._rows))
        restored = restore_variables(checkpoint, sharding.abstract(init, mesh))
        self.variables = experiment.for_evaluation(restored)
        everywhere = jax.sharding.NamedSharding(mesh, jax.P())
        self._predict = jax.jit(self.task.predict, out_shardings=everywhere)

    def predict(self, texts: Sequence[str], batch_size: int = 0) -> np.ndarray:
        """Probabilities of texts in one batch, float32 [texts, classes].

        A text without a word gets what the model answers to nothing.

        Args:
            batch_size: rows that the batch is padded to, so that few shapes are compiled; more
                where the devices do not divide it.
        """
        rows = -(-max(batch_size, len(texts)) // self._rows) * self._rows
        batch = self._batch(texts, rows)
        outputs = self._predict(self.variables, sharding.put(batch, self.mesh))
        return np.asarray(outputs["probabilities"])[: len(texts)]

    def is_empty(self, content: str) -> bool:
        """Whether the model sees nothing of a text."""
        return len(self._tokenizer.encode(content)) == 0

    def _batch(self, texts, rows) -> dict[str, np.ndarray]:
        padded = [*texts, *[""] * (rows - len(texts))]
        return text.encode(padded, self._tokenizer, self.config["data"])


@contextlib.contextmanager
def load_run(workdir: str | Path) -> Iterator[Applied]:
    """The trained model of a run: the best parameters where it watched a metric, else the newest.

    Raises:
        UserError: `workdir` is no run, holds no checkpoint, or a damaged one.
    """
    config = rundir.read_config(workdir)
    if config["data"]["name"] != "text":
        raise UserError(f"{workdir} is no run on texts: its data are {config['data']['name']!r}.")
    checkpoint = rundir.chosen_checkpoint(workdir)
    mesh = _mesh(config["mesh"])
    with sharding.use(mesh, config["rules"]):
        yield Applied(config, mesh, checkpoint, Path(workdir).expanduser() / "assets")


def _mesh(sizes: Mapping[str, Any]) -> jax.sharding.Mesh:
    """The run's mesh where it fits the devices of this machine, else all of them on "data"."""
    try:
        return sharding.make_mesh(sizes)
    except UserError:
        return sharding.make_mesh({"data": -1})
