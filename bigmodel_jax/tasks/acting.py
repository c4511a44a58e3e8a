"""What tasks of agents share: how they act, and how what they saw becomes a batch."""

import abc
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import steps
from bigmodel_jax.acting import policies, statistics, worlds
from bigmodel_jax.config import build
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Batch, Step, Variables
from bigmodel_jax.tasks import base


class Task(base.Task, abc.ABC):
    """An agent in an environment of JAX, whose worlds live in the slots, or with an actor.

    Either way it learns from a batch of transitions, `[environments, length, ...]`; see worlds.move. A
    subclass has `policy` and `learn`.

    Args:
        environment, number, length: filled from the data; without them an actor makes the batches.
        normalise: bring observations to one scale by running statistics, which are kept in
            variables["observations"] and move after each update, so that all of one update sees the same.
    """

    evaluator = "returns"
    own = ("observations",)

    def __init__(
        self,
        model: Any,
        environment: Mapping | None = None,
        number: int | None = None,
        length: int | None = None,
        normalise: bool = False,
    ):
        super().__init__(model)
        self.environment = build("environments", environment) if environment else None
        self.number, self.length, self.normalise = number, length, normalise

    @abc.abstractmethod
    def policy(self, variables: Variables, batch: Batch) -> policies.Parameters:
        """The distribution of actions (acting/policies.py)."""

    @abc.abstractmethod
    def learn(self, optimizer) -> Step:
        """Learns from a batch of transitions, `[environments, length, ...]`."""

    def inputs(self, batch):
        return (batch["observation"],)

    def init(self, rng, batch):
        variables = super().init(rng, batch)
        if not self.normalise:
            return variables
        return {**variables, "observations": statistics.none(batch["observation"].shape[1:])}

    def apply(self, variables, batch, rng, *, train, **options):
        if self.normalise:
            seen = statistics.normalise(variables["observations"], batch["observation"])
            batch = {**batch, "observation": seen}
        return super().apply(variables, batch, rng, train=train, **options)

    def act(self, variables: Variables, observation: jax.Array, rng: jax.Array | None) -> jax.Array:
        """Actions in many worlds; without `rng` the likeliest ones."""
        policy = self.policy(variables, {"observation": observation})
        return policies.mode(policy) if rng is None else policies.sample(policy, rng)

    def step(self, optimizer):
        if isinstance(optimizer, dict):
            return super().step(optimizer)  # which says that there is one player
        learn = _told(self.learn(optimizer))
        if self.normalise:
            learn = steps.chain(learn, Step(lambda variables: {}, _observe))
        return self.rolled(learn) if self.environment else learn

    def exploring(self, state: steps.TrainState) -> Callable:
        """What acts in a rollout, as `act` does."""
        return self.act

    def rolled(self, learn: Step) -> Step:
        """`learn` after a rollout."""
        if not (self.number and self.length):
            raise UserError(
                "config.task.environment is filled from config.data=dict(name='acting', "
                "environment=dict(name=...), number=8, length=128): leave it out."
            )
        environment, number = self.environment, self.number

        def reset():
            return worlds.begin(environment, number)

        def move(state, world, rng):
            act = self.exploring(state)

            def choose(observation, rng):
                return act(state.variables, observation, rng)

            return worlds.move(environment, world, choose, rng)

        return steps.rollout(reset, move, self.length, learn)


def _told(step: Step) -> Step:
    """`step`, which also tells the rewards, and what the episodes that ended in its batch came to."""

    def update(state, batch, rng):
        state, metrics = step.update(state, batch, rng)
        over = batch["terminated"] | batch["truncated"]
        told = {
            "return": mean(batch["return"], over),
            "episode_length": mean(batch["length"], over),
            "reward": mean(batch["reward"]),
        }
        return state, {**metrics, **told}

    return Step(step.init, update)


def _observe(state, batch, rng):
    """Moves the statistics of the observations."""
    merged = statistics.merge(state.variables["observations"], batch["observation"])
    return state.replace(variables={**state.variables, "observations": merged}), {}


def flat(batch: Batch) -> Batch:
    """`[environments, length, ...]` as rows, `[environments * length, ...]`."""
    return jax.tree.map(lambda x: jnp.reshape(x, (-1, *x.shape[2:])), batch)
