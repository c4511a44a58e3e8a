"""Language modelling from left to right: every token is predicted from those before it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux, Batch, Variables
from bigmodel_jax.tasks import base


class Task(base.Task):
    """For decoders, on rows of one document or of several packed together.

    A batch has "tokens" and "targets" [batch, length] int32, "segments" [batch, length] int32 (which
    document of its row a token is of, from 1; 0 is padding), "positions" [batch, length] int32
    (within the document), and "mask" [batch, length] bool, True where a target counts. Instruction
    tuning is this same task on chats, whose mask leaves only the answers.

    Args:
        chunk: positions of a row whose logits exist at once; 0 is all (losses.py).
        z_loss: the weight of the squared logarithm of the softmax's denominator, which keeps logits
            from drifting (Chowdhery et al. 2022, section 5); 1e-4 is usual. Of the training loss.
    """

    evaluator, applied = "language", "likelihood"

    def __init__(self, model: Any, chunk: int = 0, z_loss: float = 0.0):
        super().__init__(model)
        if not hasattr(model, "decode") or hasattr(model, "encode"):
            raise UserError(
                "config.task next_token predicts each token from those before it, and this model reads "
                "both sides, or no text: take a decoder, such as gpt."
            )
        if chunk < 0:
            raise UserError(f"config.task.chunk is {chunk}: positions at once, or 0 for all.")
        self.chunk, self.z_loss = chunk, z_loss

    def inputs(self, batch):
        return batch["tokens"], batch["segments"]

    def loss(self, variables, batch, rng, *, train):
        hidden, updates = self.hidden(variables, batch, rng, train=train)
        nats, log_z = self._nats(variables, hidden, batch["targets"])
        loss = mean(nats, batch["mask"])
        if not train or not self.z_loss:
            return loss, Aux({}, updates)
        # Reported apart, so that the loss of two runs can be compared.
        value = mean(nats + self.z_loss * jnp.square(log_z), batch["mask"])
        return value, Aux({"nats": loss}, updates)

    def predict(self, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
        """{"nats": [batch, length] float32}, minus the log-probability of each target."""
        hidden, _ = self.hidden(variables, batch, None, train=False)
        return {"nats": self._nats(variables, hidden, batch["targets"])[0]}

    def _nats(self, variables, hidden, targets):
        """(the loss of each target, the logarithm of the softmax's denominator), [batch, length]."""
        logits_of = functools.partial(self.logits, variables)
        return losses.chunked_cross_entropy(logits_of, hidden, targets, self.chunk)

    def hidden(
        self, variables: Variables, batch: Batch, rng: jax.Array | None, *, train: bool
    ) -> tuple[jax.Array, Variables]:
        """(what the model makes of the tokens, [batch, length, dim]; its new statistics)."""
        positions = batch["positions"]
        return self.apply(variables, batch, rng, train=train, method="hidden", positions=positions)

    def logits(self, variables: Variables, hidden: jax.Array) -> jax.Array:
        """[..., vocabulary] float32 of [..., dim]."""
        return self.model.apply({"params": variables["params"]}, hidden, method="logits")
