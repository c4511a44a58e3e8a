"""Recommending what comes next: a decoder reads the items that a user rated, in the order of time."""

from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax.errors import UserError
from bigmodel_jax.steps import Batch, Variables
from bigmodel_jax.tasks import next_token


class Task(next_token.Task):
    """next_token on rows of data/ratings.py, whose items are the tokens; the ratings are not looked at.

    With the gpt model and learned positions it is SASRec (Kang and McAuley 2018), but for the loss: the
    softmax over all items in place of one drawn negative, which Klenitskiy and Vasilev (2023) found
    to be better.

    Args:
        length: the newest items of a user that are read; positions are counted from the newest back.
        chunk, z_loss: as of next_token.
    """

    target, evaluator, applied = "interaction", "ranking", "recommendations"

    def __init__(self, model: Any, length: int = 200, chunk: int = 0, z_loss: float = 0.0):
        super().__init__(model, chunk, z_loss)
        if length < 2:
            raise UserError(f"config.task.length is {length}: items of a user, 2 or more.")
        self.length = length

    def check(self, source) -> None:
        """Raises a UserError for a source of anything else."""
        if "history" not in source.peek():
            raise UserError('config.task next_item is for ratings: config.data.name = "ratings".')

    def init(self, rng, batch):
        return super().init(rng, self._read(batch["history"]))

    def loss(self, variables, batch, rng, *, train):
        history = batch["history"]
        read = self._read(history[:, :-1])
        targets = history[:, -read["tokens"].shape[1] :]
        # The first of a user has none before it.
        row = {**read, "targets": targets, "mask": read["segments"] > 0}
        return super().loss(variables, row, rng, train=train)

    def predict(self, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
        """{"values": [batch, number] float32}, the scores of the row's own items."""
        return {"values": jnp.take_along_axis(self.scores(variables, batch), batch["item"], 1)}

    def scores(self, variables: Variables, batch: Batch) -> jax.Array:
        """Of every item as the next, [batch, items] float32 logits."""
        hidden, _ = self.hidden(variables, self._read(batch["history"]), None, train=False)
        return self.logits(variables, hidden[:, -1])

    def _read(self, history: jax.Array) -> Batch:
        """What the decoder sees of some items, [batch, number]: the last `length`."""
        tokens = history[:, -self.length :]
        positions = jnp.arange(self.length - tokens.shape[1], self.length)
        return {
            "tokens": tokens,
            "segments": (tokens > 0).astype(jnp.int32),
            "positions": jnp.broadcast_to(positions, tokens.shape),
        }
