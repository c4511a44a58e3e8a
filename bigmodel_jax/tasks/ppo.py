"""Proximal policy optimization (Schulman et al. 2017), with a critic and generalised advantages."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import steps
from bigmodel_jax.acting import policies, returns
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux, Batch, Step, Variables
from bigmodel_jax.tasks import acting


class Task(acting.Task):
    """Learns from each batch of transitions for some epochs, while the policy stays near the old one.

    For models from observations to a policy and values (models/actor_critic.py).

    Args:
        environment, number, length, normalise: as of acting.Task.
        gamma: the discount of what comes a step later.
        lam: how far the advantages trust rewards beyond the critic's next value.
        clip: of the ratio of new to old probability, beyond which an action gains nothing.
        value_clip: how far a value may move from the old one before it gains nothing; 0 is any way.
        value, entropy: weights of the critic's squared error and of the policy's entropy in the loss.
        epochs, minibatches: over a batch, and of it.
        reward_scale: what rewards are multiplied by before they are learnt from.
    """

    def __init__(
        self,
        model: Any,
        environment: Mapping | None = None,
        number: int | None = None,
        length: int | None = None,
        normalise: bool = False,
        gamma: float = 0.99,
        lam: float = 0.95,
        clip: float = 0.2,
        value_clip: float = 0.0,
        value: float = 0.5,
        entropy: float = 0.01,
        epochs: int = 4,
        minibatches: int = 4,
        reward_scale: float = 1.0,
    ):
        super().__init__(model, environment, number, length, normalise)
        self.gamma, self.lam, self.clip, self.value_clip = gamma, lam, clip, value_clip
        self.value, self.entropy, self.reward_scale = value, entropy, reward_scale
        self.epochs, self.minibatches = epochs, minibatches

    def check(self, source) -> None:
        """Raises a UserError for a batch that the minibatches do not divide."""
        if source.batch_size % self.minibatches:
            raise UserError(
                f"config.task.minibatches is {self.minibatches}, which does not divide the "
                f"{source.batch_size} steps of a batch."
            )

    def policy(self, variables, batch):
        return self._outputs(variables, batch)[0]

    def learn(self, optimizer):
        inner = steps.minibatch(self.epochs, self.minibatches, steps.gradient(self.loss, optimizer))

        def update(state, batch, rng):
            return inner.update(state, self.judged(state.variables, batch), rng)

        return Step(inner.init, update)

    def judged(self, variables: Variables, batch: Batch) -> Batch:
        """Rows for `loss` of transitions [environments, length, ...], as these variables judge them."""
        policy, value = self._outputs(variables, batch)
        _, next_value = self._outputs(variables, {"observation": batch["next_observation"]})
        over = jnp.logical_or(batch["terminated"], batch["truncated"])
        reward = self.reward_scale * batch["reward"]
        advantage = returns.gae(
            reward, value, next_value, batch["terminated"], over, self.gamma, self.lam
        )
        return acting.flat(
            {
                "observation": batch["observation"],
                "action": batch["action"],
                "log_p": policies.log_p(policy, batch["action"]),
                "value": value,
                "advantage": advantage,
                "return": advantage + value,
            }
        )

    def loss(self, variables, batch, rng, *, train):
        policy, value = self._outputs(variables, batch)
        log_p = policies.log_p(policy, batch["action"])
        advantage = batch["advantage"] - batch["advantage"].mean()
        advantage /= batch["advantage"].std() + 1e-8
        gain, clipped = surrogate(log_p, batch["log_p"], advantage, self.clip)
        error = value_error(value, batch["value"], batch["return"], self.value_clip)
        entropy = policies.entropy(policy)
        ratio = log_p - batch["log_p"]
        metrics = {
            "value_error": mean(error),
            "entropy": mean(entropy),
            "kl": mean(jnp.expm1(ratio) - ratio),  # of the old to the new policy (Schulman 2020)
            "clipped": mean(clipped),
        }
        return mean(-gain + self.value * error - self.entropy * entropy), Aux(metrics)

    def _outputs(self, variables, batch):
        return self.apply(variables, batch, None, train=False)[0]


def surrogate(
    log_p: jax.Array, old: jax.Array, advantage: jax.Array, clip: float
) -> tuple[jax.Array, jax.Array]:
    """(the clipped objective, to be raised, whether the ratio is beyond the clip), [rows] (eq. 7)."""
    ratio = jnp.exp(log_p - old)
    clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
    return jnp.minimum(ratio * advantage, clipped * advantage), ratio != clipped


def value_error(value: jax.Array, old: jax.Array, target: jax.Array, clip: float) -> jax.Array:
    """The squared error [rows]; with a clip the greater one of it and of the value held near the old."""
    error = jnp.square(value - target)
    if not clip:
        return error
    near = old + jnp.clip(value - old, -clip, clip)
    return jnp.maximum(error, jnp.square(near - target))
