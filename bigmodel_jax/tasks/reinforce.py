"""Policy gradients by whole episodes: REINFORCE (Williams 1992)."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from bigmodel_jax import steps
from bigmodel_jax.acting import policies, returns
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux, Batch, Step
from bigmodel_jax.tasks import acting


class Task(acting.Task):
    """Makes actions likelier by as much as the return that followed was above the mean of all.

    For models from rows of observations to logits of actions (models/mlp.py). A step counts if the end of
    its episode is in the batch, so `length` is to be several episodes.

    Args:
        environment, number, length, normalise: as of acting.Task.
        gamma: the discount of what comes a step later.
        entropy: weight of the policy's entropy in the loss.
    """

    def __init__(
        self,
        model: Any,
        environment: Mapping | None = None,
        number: int | None = None,
        length: int | None = None,
        normalise: bool = False,
        gamma: float = 0.99,
        entropy: float = 0.0,
    ):
        super().__init__(model, environment, number, length, normalise)
        self.gamma, self.entropy = gamma, entropy

    def policy(self, variables, batch):
        return {"logits": self.apply(variables, batch, None, train=False)[0]}

    def learn(self, optimizer):
        inner = steps.gradient(self.loss, optimizer)

        def update(state, batch, rng):
            return inner.update(state, self.judged(batch), rng)

        return Step(inner.init, update)

    def judged(self, batch: Batch) -> Batch:
        """Rows for `loss` of transitions [environments, length, ...]."""
        over = jnp.logical_or(batch["terminated"], batch["truncated"])
        total, seen = returns.to_go(batch["reward"], over, self.gamma)
        kept = {k: batch[k] for k in ("observation", "action")}
        return acting.flat({**kept, "return": total, "valid": seen})

    def loss(self, variables, batch, rng, *, train):
        policy, valid = self.policy(variables, batch), batch["valid"]
        usual = mean(batch["return"], valid)
        advantage = batch["return"] - usual.total / jnp.maximum(usual.weight, 1.0)
        entropy = policies.entropy(policy)
        losses = -policies.log_p(policy, batch["action"]) * advantage - self.entropy * entropy
        return mean(losses, valid), Aux({"entropy": mean(entropy, valid)})
