"""A text is written from another: every token from the source and from the tokens before it."""

import functools
from typing import Any

import jax

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux, Batch, Variables
from bigmodel_jax.tasks import base


class Task(base.Task):
    """For encoder-decoders, by teacher forcing (translation, summaries, text-to-text).

    A batch is that of data/pairs.py: "source" and "tokens", with segments and positions, "targets" and
    "mask". The loss is the mean over real target tokens.

    Args:
        label_smoothing: of the training loss; evaluation does not smooth.
        chunk: target positions of a row whose logits exist at once; 0 is all (losses.py).
    """

    evaluator, applied = "translation", "translations"

    def __init__(self, model: Any, label_smoothing: float = 0.0, chunk: int = 0):
        super().__init__(model)
        if not hasattr(model, "encode"):
            raise UserError(
                f"config.task {type(self).__module__.rpartition('.')[-1]} writes one text from another, "
                "and this model has no encoder and decoder: take one that has, such as t5."
            )
        if not 0 <= label_smoothing < 1:
            raise UserError(f"config.task.label_smoothing is {label_smoothing}: from 0 to below 1.")
        if chunk < 0:
            raise UserError(f"config.task.chunk is {chunk}: positions at once, or 0 for all.")
        self.label_smoothing, self.chunk = label_smoothing, chunk

    def inputs(self, batch):
        return batch["source"], batch["tokens"], batch["source_segments"], batch["segments"]

    def loss(self, variables, batch, rng, *, train):
        nats, updates = self._nats(variables, batch, rng, train=train)
        return mean(nats, batch["mask"]), Aux({}, updates)

    def predict(self, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
        """{"nats": [batch, length] float32}, minus the log-probability of each target token."""
        return {"nats": self._nats(variables, batch, None, train=False)[0]}

    def _nats(self, variables, batch, rng, *, train):
        """(the loss of each target token, [batch, length]; new untrained variables)."""
        positions = {key: batch[key] for key in ("source_positions", "positions")}
        options = {"method": "hidden", "train": train, **positions}
        hidden, updates = self.apply(variables, batch, rng, **options)
        params = {"params": variables["params"]}
        logits_of = functools.partial(self.model.apply, params, method="logits")
        smoothing = self.label_smoothing if train else 0.0
        given = (logits_of, hidden, batch["targets"], self.chunk, smoothing)
        return losses.chunked_cross_entropy(*given)[0], updates
