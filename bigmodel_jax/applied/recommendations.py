"""Users and the items that a run recommends to them."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.applied import Text, base
from bigmodel_jax.applied.printing import Show
from bigmodel_jax.data.ratings import Source, load_known
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals.ranking import unrated

MOST = 10  # items for each user


class Answer(NamedTuple):
    """A user, and (title, score) of the items, the best first."""

    user: str
    items: list[tuple[str, float]]


class Answers(base.Answers):
    """A run on data/ratings.py; what it is asked are users of the training part.

    Recommended is what the user has not rated there. Of a run that predicts ratings the score is the
    rating, else a logit.
    """

    data = ("ratings",)
    reads = "users"

    def __init__(self, *loaded):
        super().__init__(*loaded)
        self._known = load_known(self.assets)
        self._rows = {name: i for i, name in enumerate(self._known.users.tolist())}
        everywhere = jax.sharding.NamedSharding(self.mesh, jax.P())

        def best(variables, batch):
            return unrated(self.task.scores(variables, batch), batch["history"], MOST)

        self._best = jax.jit(best, out_shardings=everywhere)

    def texts(self, given: Iterable[Text], tabs: bool) -> Iterator[Text]:
        """The users, each known."""
        for user in super().texts(given, tabs):
            if not user or user not in self._rows:
                some = ", ".join(self._known.users[1:4])
                raise UserError(
                    f"There is no user {user!r} in the training part: the run knows "
                    f"{len(self._rows) - 1:,}, such as {some}, and can recommend to no other."
                )
            yield user

    def answers(self, texts: Sequence[str], batch_size: int = 0) -> list[Answer]:
        found = []
        for rows in self.slices(len(texts), max(batch_size, len(texts))):
            users = [self._rows[texts[i]] if i >= 0 else 0 for i in rows]
            batch = Source.example(self.config["data"], len(rows))
            batch |= {"user": np.array(users, np.int32), "history": self._known.history[users]}
            scores, items = self._best(self.variables, sharding.put(batch, self.mesh))
            if self.task.target == "rating":
                scores = np.clip(scores, *self.task.rating_scale)
            found += zip(np.asarray(scores), np.asarray(items), strict=True)
        return [
            Answer(user, self._titled(scores, items))
            for user, (scores, items) in zip(texts, found[: len(texts)], strict=True)
        ]

    def as_json(self, answer: Answer) -> dict[str, Any]:
        """{"user", "items": [{"title", "score"}, ...]}, the best first."""
        items = [{"title": title, "score": score} for title, score in answer.items]
        return {"user": answer.user, "items": items}

    def table(self) -> Show:
        """A user, and below them an item a line."""

        def show(answers):
            for answer in answers:
                lines = [f"  {score:5.2f}  {title}" for title, score in answer.items]
                sys.stdout.write("\n".join([f"user {answer.user}", *lines]) + "\n")

        return show

    def _titled(self, scores, items) -> list[tuple[str, float]]:
        # Minus infinity has who has rated almost all.
        pairs = zip(items.tolist(), scores.tolist(), strict=True)
        return [(str(self._known.items[item]), score) for item, score in pairs if score > -np.inf]
