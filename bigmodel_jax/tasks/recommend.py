"""Recommending: how a user would rate an item, or whether they would choose it at all."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux, Batch, Variables
from bigmodel_jax.tasks import base


class Task(base.Task):
    """For models of a user, items and the user's history, on rows of data/ratings.py.

    Args:
        loss: "squared" error of the ratings, of which the model gives the distance from the training
            part's mean; or "binary" cross-entropy of the items that a user rated, whatever the
            rating, against `negatives` times as many drawn uniformly from those they did not (He et
            al. 2017, eq. 7): for ranking.
        negatives: drawn for each rating.
        rating_scale: the lowest and the highest rating, to which predictions are clipped; filled
            from the data.
    """

    own = ("ratings",)
    applied = "recommendations"

    def __init__(
        self,
        model: Any,
        loss: Literal["squared", "binary"] = "squared",
        negatives: int = 4,
        rating_scale: Sequence[float] | None = None,
    ):
        super().__init__(model)
        if loss not in (known := ("squared", "binary")):
            raise UserError(f"config.task.loss is {loss!r}.{nearest(loss, known)}")
        if negatives < 1:
            raise UserError(f"config.task.negatives is {negatives}, but it is 1 or more.")
        self.kind, self.negatives, self.rating_scale = loss, negatives, rating_scale
        self.target, self.evaluator = (
            ("rating", "ratings") if loss == "squared" else ("interaction", "ranking")
        )

    def check(self, source) -> None:
        """Raises a UserError for a source of anything else."""
        if "history" not in source.peek():
            raise UserError('config.task recommend is for ratings: config.data.name = "ratings".')

    def inputs(self, batch):
        return batch["user"], batch["item"], batch["history"]

    def init(self, rng, batch):
        return {**super().init(rng, batch), "ratings": {"mean": jnp.zeros((), jnp.float32)}}

    def fit(self, variables: Variables, batches: Iterable[dict[str, np.ndarray]]) -> Variables:
        """`variables` with the mean of all ratings of `batches`."""
        ratings = np.concatenate([batch["rating"][batch["mask"]] for batch in batches])
        return {**variables, "ratings": {"mean": np.float32(ratings.mean(dtype=np.float64))}}

    def loss(self, variables, batch, rng, *, train):
        if self.kind == "squared":
            values, updates = self._ratings(variables, batch, rng, train=train)
            return mean(losses.squared_error(values, batch["rating"]), batch["mask"]), Aux(
                {}, updates
            )
        drawn, absent = self._negatives(batch, rng)
        both = {**batch, "item": jnp.concatenate([batch["item"], drawn], 1)}
        logits, updates = self.apply(variables, both, rng, train=train)
        chosen = jnp.concatenate([batch["mask"], jnp.zeros_like(absent)], 1)
        values = losses.sigmoid_cross_entropy(logits, chosen.astype(jnp.float32))
        counted = jnp.concatenate([batch["mask"], absent], 1)
        return mean(values, counted), Aux({}, updates)

    def predict(self, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
        """{"values": [batch, number] float32}, ratings on their scale; or logits, of a binary loss."""
        values, _ = self._ratings(variables, batch, None, train=False)
        if self.kind == "squared" and self.rating_scale is not None:
            values = jnp.clip(values, *self.rating_scale)
        return {"values": values}

    def scores(self, variables: Variables, batch: Batch) -> jax.Array:
        """Of every item, [batch, items] float32, for ranking; that of item 0, of none, means nothing."""
        everything = jnp.arange(self.model.num_items)[None]
        values, _ = self._ratings(variables, {**batch, "item": everything}, None, train=False)
        return values

    def _ratings(self, variables, batch, rng, *, train):
        values, updates = self.apply(variables, batch, rng, train=train)
        return values + variables["ratings"]["mean"] * (self.kind == "squared"), updates

    def _negatives(self, batch, rng):
        """(items drawn for each user, [batch, number]; those that count, bool: the user has none of
        them)."""
        rows, number = batch["item"].shape
        users = jnp.arange(rows)[:, None]
        rated = jnp.zeros((rows, self.model.num_items), bool).at[users, batch["item"]].set(True)
        rated = rated.at[users, batch["history"]].set(True)
        shape = (rows, number * self.negatives)
        drawn = jax.random.randint(jax.random.fold_in(rng, 1), shape, 1, self.model.num_items)
        real = jnp.repeat(batch["mask"], self.negatives, 1)
        return drawn, real & ~rated[users, drawn]
