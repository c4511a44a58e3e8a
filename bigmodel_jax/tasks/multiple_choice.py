"""Multiple choice: each choice of an example is scored beside its context, the best one chosen.

As Devlin et al. 2019 (section 4.4) on SWAG (Zellers et al. 2018).
"""

from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux
from bigmodel_jax.tasks import base

NOT_A_CHOICE = -1e30  # its logit


class Task(base.Task):
    """For models from "tokens" and "mask" to logits [rows, 1]: head="classify", num_classes=1.

    A batch has both [batch, choices, length], "real" [batch, choices] bool, where there is a choice,
    and a "label" [batch] int32. The loss is the cross-entropy of the softmax over an example's
    choices. A model that knows types of tokens is given "types".
    """

    target = "choice"
    evaluator = applied = "choices"

    def __init__(self, model: Any):
        super().__init__(model)
        if (classes := getattr(model, "num_classes", 1)) != 1:
            raise UserError(
                f"config.model.num_classes is {classes}, but a choice has one score: num_classes=1."
            )

    def inputs(self, batch):
        return tuple(batch[key].reshape(-1, batch[key].shape[-1]) for key in ("tokens", "mask"))

    def check(self, source) -> None:
        """Raises a UserError for a source of anything but choices."""
        if (given := getattr(source, "target", None)) != self.target:
            raise UserError(
                f"config.task multiple_choice learns choices, but the data's target is {given!r}: "
                'take config.data=dict(name="choices", ...).'
            )

    def loss(self, variables, batch, rng, *, train):
        logits, updates = self._logits(variables, batch, rng, train=train)
        values = losses.softmax_cross_entropy(logits, batch["label"])
        accuracy = mean(logits.argmax(-1) == batch["label"], batch["valid"])
        return mean(values, batch["valid"]), Aux({"accuracy": accuracy}, updates)

    def predict(self, variables, batch) -> dict[str, jax.Array]:
        """{"logits", "probabilities"}, both [batch, choices] float32; 0 is that of no choice."""
        logits, _ = self._logits(variables, batch, None, train=False)
        return {"logits": logits, "probabilities": jax.nn.softmax(logits)}

    def _logits(self, variables, batch, rng, *, train):
        """(float32 [batch, choices], new untrained variables)."""
        known = getattr(self.model, "num_types", 0) > 1
        types = batch["types"].reshape(-1, batch["types"].shape[-1])
        options = {"types": types} if known else {}
        logits, updates = self.apply(variables, batch, rng, train=train, **options)
        logits = logits.astype(jnp.float32).reshape(batch["real"].shape)
        return jnp.where(batch["real"], logits, NOT_A_CHOICE), updates
