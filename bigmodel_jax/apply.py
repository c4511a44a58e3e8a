"""Applies a run: its model with its chosen parameters, from its directory alone.

    with load_run("runs/imdb") as run:
        probabilities = run.predict(["I have never seen a better film."])  # [texts, classes]
        explanation = run.explain("I have never seen a better film.", label=1)

No data set is opened, and the machine may have another number of devices than the run had.
"""

import contextlib
import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from bigmodel_jax import experiment, rundir, sharding
from bigmodel_jax.checkpoint import restore_variables
from bigmodel_jax.config import component
from bigmodel_jax.data import encoding, tokenized
from bigmodel_jax.data.rows import around, cut
from bigmodel_jax.errors import UserError
from bigmodel_jax.explanations.gradients import attribute, make_scores, make_slopes
from bigmodel_jax.explanations.occlusion import of_tokens
from bigmodel_jax.explanations.pieces import Explanation

POINTS_AT_ONCE = 16  # of an explanation, and no more than TOKENS_AT_ONCE allow
TOKENS_AT_ONCE = 2**15
Text = str | tuple[str, str]  # or a pair
Run = TypeVar("Run", bound="Loaded")


class Loaded:
    """A trained model.

    Attributes:
        config: of the run, resolved.
        task, variables: what evaluators ask for; of an averaged model, the average.
        mesh: all devices of this machine.
        rows: what divides the rows of any batch.
        step: of the checkpoint that the variables are from.
        assets: the folder of the tokenizer and the like.
    """

    def __init__(self, config: Mapping, mesh: jax.sharding.Mesh, checkpoint: Path, assets: Path):
        self.config, self.mesh, self.step, self.assets = config, mesh, int(checkpoint.name), assets
        self.task = experiment.make_task(config)
        self.rows = mesh.shape["data"] * mesh.shape["fsdp"]
        init = experiment.make_init(config, self.task, self.example())
        restored = restore_variables(checkpoint, sharding.abstract(init, mesh))
        self.variables = experiment.for_evaluation(restored)
        if hasattr(self.task, "merge"):  # LoRA: what is applied are plain parameters
            params = jax.jit(self.task.merge)(self.variables["params"])
            self.variables, self.task = {**self.variables, "params": params}, self.task.task

    def example(self) -> dict[str, np.ndarray]:
        """A batch, of which only the shapes matter: of tokens, unless the kind of data says another."""
        key = "actor" if self.config["actor"] else "data"
        data, folder = self.config[key], {"actor": "data.actors", "data": "data"}[key]
        kind: Any = component(folder, data["name"])
        if hasattr(kind, "example"):
            return kind.example(data, self.rows)
        tokens = np.zeros((self.rows, 8), np.int32)
        read = {"source": tokens, "source_segments": tokens, "source_positions": tokens}
        return {
            "tokens": tokens,
            "segments": tokens,
            "positions": tokens,
            "mask": tokens > 0,
            **read,
        }


class Applied(Loaded):
    """A trained model of labelled texts.

    Attributes:
        label_names: index = label id.
        target: "class", "labels" (any number of them) or "number".
        pairs: whether it reads pairs of texts.
    """

    def __init__(self, config: Mapping, mesh: jax.sharding.Mesh, checkpoint: Path, assets: Path):
        self._tokenizer, self.label_names = encoding.load_assets(assets, config["data"])
        self.pairs = config["data"]["reader"].get("pair_column") is not None
        super().__init__(config, mesh, checkpoint, assets)
        self.target = getattr(self.task, "target", "class")
        self._everywhere = jax.sharding.NamedSharding(mesh, jax.P())
        self._predict = jax.jit(self.task.predict, out_shardings=self._everywhere)

    def example(self) -> dict[str, np.ndarray]:
        return self._batch([], self.rows)

    def predict(self, texts: Sequence[Text], batch_size: int = 0) -> np.ndarray:
        """Probabilities of texts in one batch, float32 [texts, classes]; of a regression [texts].

        A text without a word gets what the model answers to nothing.

        Args:
            batch_size: rows that the batch is padded to, so that few shapes are compiled; more
                where the devices do not divide it.
        """
        return self.answer(texts, batch_size)[0]

    def answer(self, texts: Sequence[Text], batch_size: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """(what `predict` gives, bool [texts]: the model sees nothing of it, or of both of a pair)."""
        rows = -(-max(batch_size, len(texts)) // self.rows) * self.rows
        batch = self._batch(texts, rows)
        outputs = self._predict(self.variables, sharding.put(batch, self.mesh))
        values = outputs["values" if self.target == "number" else "probabilities"]
        empty = batch["mask"].sum(1) <= around(self._tokenizer, self.pairs).count
        return np.asarray(values)[: len(texts)], empty[: len(texts)]

    def explain(self, text: Text, label: int = 0, occlusion: bool = False) -> Explanation:
        """What each token adds to the log-odds of a label, or to the number that is predicted.

        With `occlusion` also what these lose without it. Computed in float32, whatever the run computed in: differences are small against rounding.
        """
        batch = self._batch([text], 1)
        length = batch["tokens"].shape[1]
        rows = min(POINTS_AT_ONCE, max(1, TOKENS_AT_ONCE // length))
        rows = -(-rows // self.rows) * self.rows
        repeated = {key: np.repeat(x, rows, axis=0) for key, x in batch.items()}
        repeated = sharding.put(repeated, self.mesh)

        def slopes(alphas):
            alphas = sharding.put(alphas, self.mesh)
            return self._slopes(self.variables, repeated, alphas, np.int32(label))

        def scores(presence):
            presence = sharding.put(presence, self.mesh)
            return self._scores(self.variables, repeated, presence, np.int32(label))

        kept = int(batch["mask"].sum())
        found = attribute(slopes, rows)
        name = self.label_names[label]
        return Explanation(
            name=name,
            what=name if self.target == "number" else f"log-odds of {name}",
            tokens=self._tokenizer.tokens(batch["tokens"][0, :kept]),
            attribution=found._replace(values=found.values[:kept]),
            not_read=self._not_read(text),
            occlusion=of_tokens(scores, kept, length, rows) if occlusion else None,
        )

    @functools.cached_property
    def _slopes(self):
        return jax.jit(make_slopes(self._exact), out_shardings=self._everywhere)

    @functools.cached_property
    def _scores(self):
        return jax.jit(make_scores(self._exact), out_shardings=self._everywhere)

    @functools.cached_property
    def _exact(self):
        """The task as it is explained, in float32."""
        if "presence" not in inspect.signature(type(self.task.model).__call__).parameters:
            raise UserError(
                f"The model {self.config['model']['name']!r} cannot be explained: its __call__ takes "
                "no presence=None, a factor for each token's embedding, [batch, length]."
            )
        exact = {**self.config, "model": in_float32(self.config["model"])}
        task = experiment.make_task(exact)
        return task.task if hasattr(task, "merge") else task

    def _not_read(self, text) -> dict[int, int]:
        """How many tokens of a text that is too long are left out, before which of the others."""
        both = (text,) if isinstance(text, str) else text
        data = self.config["data"]
        offsets = np.cumsum([0, *map(len, tokenized.encode(self._tokenizer, [both]))])
        ends = around(self._tokenizer, len(both) == 2)
        rows = cut(offsets, data["max_length"], data.get("keep", "tail"), ends)
        start, head, second, kept = (int(x[0]) for x in rows)
        between, after = second - (start + head), int(offsets[-1]) - (second + kept - head)
        before = len(ends.before)
        left = ((before + head, between), (before + kept, after))
        return {place: count for place, count in left if count}

    def _batch(self, texts, rows) -> dict[str, np.ndarray]:
        nothing = ("", "") if self.pairs else ""
        padded = [*texts, *[nothing] * (rows - len(texts))]
        return encoding.encode(padded, self._tokenizer, self.config["data"])


@contextlib.contextmanager
def load_run(workdir: str | Path) -> Iterator[Applied]:
    """The trained model of a run on labelled texts; see `load`."""
    if (data := rundir.read_config(workdir)["data"]["name"]) != "text":
        raise UserError(f"{workdir} is no run on labelled texts: its data are {data!r}.")
    with load(workdir, Applied) as run:
        yield run


@contextlib.contextmanager
def load(workdir: str | Path, kind: type[Run] = Loaded) -> Iterator[Run]:
    """The trained model of a run: the best parameters where it watched a metric, else the newest.

    Raises:
        UserError: `workdir` is no run, holds no checkpoint, or a damaged one.
    """
    config = rundir.read_config(workdir)
    checkpoint = rundir.chosen_checkpoint(workdir)
    mesh = _mesh(config["mesh"])
    with sharding.use(mesh, config["rules"]):
        yield kind(config, mesh, checkpoint, Path(workdir).expanduser() / "assets")


def _mesh(sizes: Mapping[str, Any]) -> jax.sharding.Mesh:
    """The run's mesh where it fits the devices of this machine, else all of them on "data"."""
    try:
        return sharding.make_mesh(sizes)
    except UserError:
        return sharding.make_mesh({"data": -1})


def in_float32(spec: Any) -> Any:
    """A model's spec with every compute dtype float32."""
    if not isinstance(spec, Mapping):
        return spec
    return {k: "float32" if k == "dtype" else in_float32(v) for k, v in spec.items()}
