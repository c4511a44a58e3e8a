"""Evaluates recommendations as lists: the best items that a user does not know, beside the most popular.

The protocol: for each user of the split, all items of the training part are ranked, but those that the
user rated there. Relevant are the items that the user rated in the split with `relevant` or more; of
an item that the training part does not have, none can be recommended, and it counts as missed. A user
without any is left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.errors import UserError
from bigmodel_jax.evals import loss
from bigmodel_jax.metrics import mean


class Evaluator(loss.Evaluator):
    """nDCG and recall of the first k, means over users, and those of ranking by popularity.

    Args:
        k: how many are recommended.
        relevant: the lowest rating of an item that is.
        split, task, open_source, mesh, batch_size: as of Pass; users are ranked in batches.
    """

    def __init__(
        self,
        *,
        split: str,
        task: Any,
        open_source: Callable,
        mesh: jax.sharding.Mesh,
        batch_size: int = 256,
        k: int = 10,
        relevant: float = 4.0,
    ):
        if not hasattr(task, "scores"):
            raise UserError(
                f"An evaluator of {split!r} in config.evals ranks items, which the task does not score: "
                "it is for recommend and next_item."
            )
        self._k, self._relevant = k, relevant
        given: dict[str, Any] = {"split": split, "task": task, "open_source": open_source}
        super().__init__(**given, mesh=mesh, batch_size=batch_size)

    def compute(self, task, variables, batch):
        scores = task.scores(variables["run"], batch)
        popular = jnp.broadcast_to(variables["popularity"], scores.shape)
        relevant = batch["mask"] & (batch["rating"] >= self._relevant)
        found = {}
        for prefix, values in (("", scores), ("popularity_", popular)):
            best = unrated(values, batch["history"], self._k)[1]
            ndcg, recall = judged(best, batch["item"], relevant)
            found[f"{prefix}ndcg@{self._k}"] = mean(ndcg, relevant.any(1))
            found[f"{prefix}recall@{self._k}"] = mean(recall, relevant.any(1))
        return found

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name; `details` then says of how many users."""
        popularity = self.source.popularity.astype(np.float32)
        sums = self.sums({"run": variables, "popularity": popularity})
        self.details = {"examples": int(sums.sums[f"ndcg@{self._k}"][1])}
        return sums.means()


def unrated(scores: jax.Array, history: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """(scores, items) of the k best of each user, [batch, k or all], without what the user has rated.

    Of equal scores the item of the lower number is first. Where a user has rated almost all, the last
    scores are minus infinity.

    Args:
        scores: [batch, items] float32.
        history: [batch, length] int32, items that the user has rated; 0 is padding.
    """
    users = jnp.arange(len(scores))[:, None]
    scores = scores.at[users, history].set(-jnp.inf).at[:, 0].set(-jnp.inf)
    return jax.lax.top_k(scores, min(k, scores.shape[1]))


def judged(best: jax.Array, items: jax.Array, relevant: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(nDCG, recall) of lists, [batch] float32; 0 where nothing is relevant.

    nDCG with gains of 0 and 1 (Jarvelin and Kekalainen 2002): each hit counts 1 / log2(1 + its place),
    divided by what the best list of k would have. Recall is hits by all that is relevant.

    Args:
        best: [batch, k] int32, recommended items, the best first.
        items: [batch, number] int32, each at most once; but 0, an unknown one.
        relevant: bool, of `items`.
    """
    hits = (best[..., None] == items[:, None]) & (relevant & (items > 0))[:, None]
    hits = hits.any(-1).astype(jnp.float32)
    discounts = 1 / jnp.log2(jnp.arange(best.shape[1]) + 2.0)
    count = relevant.sum(1)
    ideal = jnp.cumsum(discounts)[jnp.clip(count, 1, best.shape[1]) - 1]
    return hits @ discounts / ideal, hits.sum(1) / jnp.maximum(count, 1)
