"""Evaluates predicted ratings: every rating of a split once, errors exact over the whole split."""

from collections.abc import Mapping

import jax
import numpy as np

from bigmodel_jax.evals.passes import Pass
from bigmodel_jax.metrics import Sums


class Evaluator(Pass):
    """Loss, and the root of the mean squared error and the mean absolute one, of clipped ratings."""

    target = "rating"

    def compute(self, task, variables, batch):
        value, _ = task.loss(variables, batch, jax.random.key(0), train=False)
        error = task.predict(variables, batch)["values"] - batch["rating"]
        return {"loss": value}, error, batch["mask"]

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name; `details` then says of how many ratings, and how many of them are of users
        and items that the training part does not have."""
        sums, errors = Sums(), []
        for _, (row, error, mask) in self.results(variables):
            sums.add(row)
            errors.append(error[mask].astype(np.float64))
        error = np.concatenate(errors)
        unknown = {what: len(found) for what, found in self.source.unknown.items()}
        if not self.details and jax.process_index() == 0:  # once
            self._say_unknown(len(error))
        self.details = {"examples": len(error), "unknown": unknown}
        rmse, mae = np.sqrt(np.square(error).mean()), np.abs(error).mean()
        return {**sums.means(), "rmse": float(rmse), "mae": float(mae)}

    def _say_unknown(self, count: int) -> None:
        for what, found in self.source.unknown.items():
            if len(found):
                print(
                    f"NOTE: {len(found):,} of the {count:,} ratings of {self._split} are of "
                    f"{len(np.unique(found)):,} {what} that the training part does not have, and are "
                    f"predicted without them.",
                    flush=True,
                )
