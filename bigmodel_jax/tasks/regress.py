"""Regression: a number for each example."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux, Variables
from bigmodel_jax.tasks import labelled


class Task(labelled.Task):
    """A "label" [batch] float32, for a model with one output, `num_classes=1`.

    The model learns the standardised number, (label - mean) / deviation, in which the loss is; the
    mean and the deviation are those of the training part. Predictions are in the label's unit.

    Args:
        loss: "squared" error, or "huber", which beyond one deviation grows linearly (Huber 1964),
            so that outliers count for less.
        mean, std: of images; see labelled.Task.
    """

    target, evaluator = "number", "regression"
    own = ("scaling",)

    def __init__(
        self,
        model: Any,
        loss: Literal["squared", "huber"] = "squared",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ):
        super().__init__(model, mean, std)
        if loss not in (known := ("squared", "huber")):
            raise UserError(f"config.task.loss is {loss!r}.{nearest(loss, known)}")
        self.values = losses.squared_error if loss == "squared" else losses.huber

    def init(self, rng, batch):
        scaling = {"mean": jnp.zeros((), jnp.float32), "deviation": jnp.ones((), jnp.float32)}
        return {**super().init(rng, batch), "scaling": scaling}

    def fit(self, variables: Variables, batches: Iterable[dict[str, np.ndarray]]) -> Variables:
        """`variables` with the mean and the standard deviation of the labels of `batches`."""
        labels = np.concatenate([batch["label"][batch["valid"]] for batch in batches])
        labels = labels.astype(np.float64)
        scaling = {"mean": labels.mean(), "deviation": labels.std() or 1.0}
        return {**variables, "scaling": {k: np.float32(x) for k, x in scaling.items()}}

    def loss(self, variables, batch, rng, *, train):
        scaling, labels, valid = variables["scaling"], batch["label"], batch["valid"]
        outputs, updates = self.apply(variables, batch, rng, train=train)
        outputs = outputs[..., 0].astype(jnp.float32)
        wanted = (labels - scaling["mean"]) / scaling["deviation"]
        values = self.values(outputs, wanted)
        error = jnp.abs(outputs - wanted) * scaling["deviation"]
        return mean(values, valid), Aux({"mae": mean(error, valid)}, updates)

    def predict(self, variables, batch) -> dict[str, jax.Array]:
        """{"values": [batch]}, float32, in the label's unit."""
        scaling, outputs = variables["scaling"], self.logits(variables, batch)[..., 0]
        return {"values": outputs * scaling["deviation"] + scaling["mean"]}
