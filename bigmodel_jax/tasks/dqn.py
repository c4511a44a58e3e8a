"""Deep Q-learning (Mnih et al. 2015): double, with prioritised replay and a target that follows."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from bigmodel_jax import losses, steps
from bigmodel_jax.acting import replay, worlds
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux, Batch, Step, Variables
from bigmodel_jax.tasks import acting

KEPT = ("observation", "action", "reward", "terminated", "next_observation")


class Task(acting.Task):
    """Learns what actions are worth from transitions that it remembers, old and new.

    For models from observations to the values of actions (models/q_network.py), in environments of JAX:
    the replay lies in the slots. variables["target"] is an average of the parameters.

    Args:
        environment, number, length: as of acting.Task.
        gamma: the discount of what comes a step later.
        capacity: transitions that are remembered.
        begin: transitions before the first update.
        batch_size, updates: transitions an update, and updates a rollout.
        double: the next action is chosen by the parameters and valued by the target (van Hasselt et al.
            2016); else the target does both.
        target: decay of the average, an update.
        explore: rollouts in which the share of actions at random falls from 1 to `random`.
        priority, correction: alpha and beta of prioritised replay; 0 and 0 draw evenly.
    """

    own = ("target",)

    def __init__(
        self,
        model: Any,
        environment: Mapping | None = None,
        number: int | None = None,
        length: int | None = None,
        gamma: float = 0.99,
        capacity: int = 10_000,
        begin: int = 1000,
        batch_size: int = 128,
        updates: int = 1,
        double: bool = True,
        target: float = 0.99,
        explore: int = 1000,
        random: float = 0.05,
        priority: float = 0.6,
        correction: float = 0.4,
    ):
        super().__init__(model, environment, number, length)
        self.gamma, self.capacity, self.begin, self.batch_size = gamma, capacity, begin, batch_size
        self.updates, self.double, self.target = updates, double, target
        self.explore, self.random = explore, random
        self.priority, self.correction = priority, correction

    def init(self, rng, batch):
        variables = super().init(rng, batch)
        return {**variables, "target": variables["params"]}

    def values(self, variables: Variables, observation: jax.Array) -> jax.Array:
        """Of the actions, float32 [..., actions]."""
        return self.apply(variables, {"observation": observation}, None, train=False)[0]

    def policy(self, variables, batch):
        return {"logits": self.values(variables, batch["observation"])}

    def act(self, variables, observation, rng):
        """The actions that are worth most; `rng` changes nothing."""
        return super().act(variables, observation, None)

    def exploring(self, state):
        """`act` with some actions at random, fewer and fewer."""
        share = jnp.maximum(1 - state.step / self.explore, self.random)

        def act(variables, observation, rng):
            best = self.act(variables, observation, None)
            coin, any_rng = jax.random.split(rng)
            anything = jax.random.randint(any_rng, best.shape, 0, self.environment.num_actions)
            return jnp.where(jax.random.uniform(coin, best.shape) < share, anything, best)

        return act

    def learn(self, optimizer):
        descend = steps.chain(
            steps.gradient(self.loss, optimizer), steps.ema(self.target, "target", warmup=False)
        )

        def init(variables):
            return {"replay": replay.create(self._row(), self.capacity), **descend.init(variables)}

        def descent(state, rng):
            """One draw, one descent."""
            draw_rng, rng = jax.random.split(rng)
            memory = state.slots["replay"]
            rows, index, weights = replay.draw(memory, draw_rng, self.batch_size, self.correction)
            rows, errors = self.judged(state.variables, rows)
            memory = replay.surprise(memory, index, errors, self.priority)
            state = state.replace(slots={**state.slots, "replay": memory})
            return descend.update(state, {**rows, "weight": weights}, rng)

        def remember(state, batch, rng):
            rows = acting.flat({k: batch[k] for k in KEPT})
            memory = replay.add(state.slots["replay"], rows)
            state = state.replace(slots={**state.slots, "replay": memory})
            keys = jax.random.split(rng, self.updates)

            def learn():
                after, metrics = jax.lax.scan(descent, state, keys)
                return after, jax.tree.map(lambda x: x.sum(0), metrics)

            nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(learn)[1])
            return jax.lax.cond(memory["filled"] >= self.begin, learn, lambda: (state, nothing))

        return Step(init, remember)

    def judged(self, variables: Variables, rows: Batch) -> tuple[Batch, jax.Array]:
        """(rows with the "goal" of each action's value, how far the value is off), [rows]."""
        later = self.values({"params": variables["target"]}, rows["next_observation"])
        chooser = self.values(variables, rows["next_observation"]) if self.double else later
        best = jnp.take_along_axis(later, chooser.argmax(-1, keepdims=True), -1)[..., 0]
        goal = rows["reward"] + jnp.where(rows["terminated"], 0.0, self.gamma * best)
        return {**rows, "goal": goal}, goal - self._chosen(variables, rows)

    def loss(self, variables, batch, rng, *, train):
        value = self._chosen(variables, batch)
        errors = batch["weight"] * losses.huber(value, batch["goal"])
        return mean(errors), Aux({"value": mean(value)})

    def _chosen(self, variables, rows):
        values = self.values(variables, rows["observation"])
        return jnp.take_along_axis(values, rows["action"][..., None], -1)[..., 0]

    def _row(self):
        """Shapes of a remembered transition."""
        environment = self.environment

        def moved(rng):
            world, actions = worlds.begin(environment, 1), jnp.zeros(1, jnp.int32)
            return worlds.move(environment, world, lambda seen, key: actions, rng)[1]

        row = jax.eval_shape(moved, jax.random.key(0))
        return {k: jax.ShapeDtypeStruct(row[k].shape[1:], row[k].dtype) for k in KEPT}

    def check(self, source) -> None:
        """Raises a UserError where there is no such environment, or where less is remembered than drawn."""
        if self.environment is None or self.environment.num_actions is None:
            raise UserError(
                "config.task dqn chooses among a few actions in an environment of JAX: "
                "config.data=dict(name='acting', environment=dict(name='cartpole')), or take task ppo."
            )
        if not source.batch_size <= self.begin <= self.capacity:
            raise UserError(
                f"config.task.begin is {self.begin}, but is to be from {source.batch_size}, the steps of "
                f"a rollout, to {self.capacity}, config.task.capacity."
            )
