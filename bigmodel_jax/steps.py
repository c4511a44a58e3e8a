"""Update steps, and how to compose them.

A step is a pair of pure functions, in the manner of an optax transformation:

    init(variables)           -> slots           what the step remembers (moments, counts, ...)
    update(state, batch, rng) -> state, metrics

Supervised training is one `gradient` step; a GAN is two of them in a `chain`; a target network is
an `ema` at the end of the chain; an environment written in JAX is a `rollout`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from bigmodel_jax import trees
from bigmodel_jax.metrics import Mean, Metrics, mean
from bigmodel_jax.optim import Optimizer

Variables = dict[str, Any]
Batch = Any
# What config.ema averages, by the name of the average: statistics of batches with the parameters.
AVERAGED = {"ema": "params", "ema_stats": "batch_stats"}
AUGMENT = 0x41554721  # a stream of chance apart from those that a step splits off, 0, 1, 2, ...


class TrainState(struct.PyTreeNode):
    """All that changes while training: what a checkpoint holds.

    Attributes:
        step: int32 [], the number of updates done.
        variables: Flax's own, {"params": ..., "batch_stats": ..., "ema": ...}.
        slots: what each update step remembers, by the step's name.
    """

    step: jax.Array
    variables: Variables
    slots: dict[str, Any]

    @property
    def params(self) -> dict:
        return self.variables["params"]


class Step(NamedTuple):
    """A pair of pure functions; see the module's docstring."""

    init: Callable[[Variables], dict[str, Any]]
    update: Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]


class Aux(NamedTuple):
    """What a loss reports besides its value.

    Attributes:
        metrics: sums and weights by name.
        updates: new values of untrained variables, e.g. {"batch_stats": ...}.
    """

    metrics: Metrics = {}
    updates: Variables = {}


def create_state(step: Step, variables: Variables) -> TrainState:
    """The state before the first update."""
    return TrainState(jnp.zeros((), jnp.int32), variables, step.init(variables))


def gradient(loss, optimizer: Optimizer, name: str = "train") -> Step:
    """Descends `loss` on the parameters that `optimizer` owns.

    With `optimizer.accumulate = n` the batch is cut into n micro-batches, whose gradients of totals
    are summed and divided once by the real count. Micro-batch i holds the rows i, i + n, ..., so
    that on a mesh no row changes its device.

    The metric "nonfinite" holds a flag for each parameter, in the order of `trees.flatten`: its
    gradient's sum of squares, which "grad_norm" needs too, is NaN or infinite.

    Args:
        loss: `(variables, batch, rng, *, train) -> (Mean, Aux)`.
        optimizer: see optim.py; it owns some of the parameters, the others get no gradient.
        name: of the slot, and the prefix of the metrics (none for the only player, "train").
    """
    accumulate = optimizer.accumulate

    def init(variables):
        owned = trees.select(variables["params"], optimizer.owns)
        return {name: optimizer.init(owned)}

    def total_and_gradient(owned, variables, batch, rng):
        def objective(owned):
            params = trees.replace(variables["params"], owned)
            value, aux = loss({**variables, "params": params}, batch, rng, train=True)
            return value.total, (value, aux)

        grads, (value, aux) = jax.grad(objective, has_aux=True)(owned)
        return grads, value, aux

    def accumulated(owned, variables, batch, rng):
        def split(x):
            return jnp.moveaxis(x.reshape(-1, accumulate, *x.shape[1:]), 1, 0)

        def micro_step(carry, inputs):
            grads, updates = carry
            micro, key = inputs
            new, value, aux = total_and_gradient(owned, {**variables, **updates}, micro, key)
            grads = jax.tree.map(jnp.add, grads, new)
            return (grads, {**updates, **aux.updates}), (value, aux.metrics)

        micro, keys = jax.tree.map(split, batch), jax.random.split(rng, accumulate)
        first = jax.tree.map(lambda x: x[0], micro)
        shapes = jax.eval_shape(total_and_gradient, owned, variables, first, rng)
        updates = {k: variables[k] for k in shapes[2].updates}
        zeros = jax.tree.map(jnp.zeros_like, owned)
        (grads, updates), rows = jax.lax.scan(micro_step, (zeros, updates), (micro, keys))
        value, metrics = jax.tree.map(lambda x: x.sum(0), rows)
        return grads, value, Aux(metrics, updates)

    def update(state, batch, rng):
        owned = trees.select(state.params, optimizer.owns)
        gradients = accumulated if accumulate > 1 else total_and_gradient
        grads, value, aux = gradients(owned, state.variables, batch, rng)
        grads = jax.tree.map(lambda g: g / jnp.maximum(value.weight, 1e-8).astype(g.dtype), grads)

        squares = jax.tree.map(lambda g: jnp.square(g.astype(jnp.float32)).sum(), grads)
        norm = jnp.sqrt(sum(jax.tree.leaves(squares)))
        flags = Mean(nonfinite(squares, state.params), jnp.ones((), jnp.float32))
        owned, slot, report = optimizer.apply(grads, state.slots[name], owned, state.step)
        metrics = {"nonfinite": flags, "loss": value, "grad_norm": mean(norm)}
        metrics |= {**report, **aux.metrics}
        prefix = f"{name}/" if name != "train" else ""
        return state.replace(
            variables={
                **state.variables,
                **aux.updates,
                "params": trees.replace(state.params, owned),
            },
            slots={**state.slots, name: slot},
        ), {prefix + k: v for k, v in metrics.items()}

    return Step(init, update)


def nonfinite(part, whole) -> jax.Array:
    """For each leaf of `whole`, in the order of `trees.flatten`: is its scalar in `part` not finite?"""
    bad = {path: ~jnp.isfinite(x) for path, x in trees.flatten(part).items()}
    return jnp.stack([bad.get(path, jnp.zeros((), bool)) for path in trees.flatten(whole)])


def ema(decay: float, name: str = "ema", of: str = "params", warmup: bool = True) -> Step:
    """Keeps variables[name], an exponential moving average of the parameters, or of variables[of].

    With `warmup` the decay of update t is at most (1 + t) / (10 + t), so that early parameters are soon
    forgotten (as in TensorFlow's ExponentialMovingAverage). A target network is to lag from the start.
    """

    def update(state, batch, rng):
        t = state.step.astype(jnp.float32)
        rate = jnp.minimum(decay, (1 + t) / (10 + t)) if warmup else decay

        def mix(old, new):
            return (rate * old + (1 - rate) * new).astype(old.dtype)

        average = jax.tree.map(mix, state.variables[name], state.variables[of])
        return state.replace(variables={**state.variables, name: average}), {}

    return Step(lambda variables: {}, update)


def every(n: int, step: Step) -> Step:
    """Runs `step` on every n-th update only; the others add nothing to its metrics."""

    def update(state, batch, rng):
        shapes = jax.eval_shape(step.update, state, batch, rng)[1]
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return jax.lax.cond(
            state.step % n == 0,
            lambda: step.update(state, batch, rng),
            lambda: (state, nothing),
        )

    return Step(step.init, update)


def chain(*steps: Step) -> Step:
    """Runs steps one after another; each sees the state that the one before it left."""

    def init(variables):
        slots: dict[str, Any] = {}
        for step in steps:
            new = step.init(variables)
            if clash := slots.keys() & new.keys():
                raise ValueError(f"Two steps of a chain share the slot names {sorted(clash)}.")
            slots |= new
        return slots

    def update(state, batch, rng):
        metrics: Metrics = {}
        for step, key in zip(steps, jax.random.split(rng, len(steps)), strict=True):
            state, new = step.update(state, batch, key)
            metrics |= new
        return state, metrics

    return Step(init, update)


def rollout(reset, act, length: int, learn: Step, name: str = "environment") -> Step:
    """Acts `length` steps in an environment written in JAX, then lets `learn` learn from them.

    Args:
        reset: `() -> environment state`, a pytree of arrays; it lives in slots[name], and so in
            the checkpoint.
        act: `(training state, environment state, rng) -> (environment state, transition)`: one step
            of the policy in the environment; `transition` is a dict of arrays `[environments, ...]`.
        length: environment steps a rollout.
        learn: the step that gets the transitions, `[environments, length, ...]`, as its batch.
    """

    def init(variables):
        return {name: reset(), **learn.init(variables)}

    def update(state, batch, rng):
        act_key, learn_key = jax.random.split(rng)

        def move(environment, key):
            return act(state, environment, key)

        environment, moves = jax.lax.scan(
            move, state.slots[name], jax.random.split(act_key, length)
        )
        moves = jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), moves)
        state = state.replace(slots={**state.slots, name: environment})
        return learn.update(state, moves, learn_key)

    return Step(init, update)


def minibatch(epochs: int, n: int, step: Step) -> Step:
    """`step` on each of n parts of the batch, shuffled anew, `epochs` times over.

    The metrics of these updates are summed; all of them have the same `state.step`.
    """

    def update(state, batch, rng):
        rows = len(jax.tree.leaves(batch)[0])

        def epoch(state, key):
            order, key = jax.random.split(key)
            order = jax.random.permutation(order, rows).reshape(n, rows // n)

            def part(state, inputs):
                rows, key = inputs
                return step.update(state, jax.tree.map(lambda x: x[rows], batch), key)

            return jax.lax.scan(part, state, (order, jax.random.split(key, n)))

        state, metrics = jax.lax.scan(epoch, state, jax.random.split(rng, epochs))
        return state, jax.tree.map(lambda x: x.sum((0, 1)), metrics)

    return Step(step.init, update)


def augmented(augment, step: Step) -> Step:
    """Applies `augment(batch, rng) -> batch` inside the jitted step; the step's own rng stays as it is."""

    def update(state, batch, rng):
        return step.update(state, augment(batch, jax.random.fold_in(rng, AUGMENT)), rng)

    return Step(step.init, update)


def counted(step: Step) -> Step:
    """The whole update: draws this step's randomness from (seed, step) and counts the step."""

    def update(state, batch, rng):
        state, metrics = step.update(state, batch, jax.random.fold_in(rng, state.step))
        return state.replace(step=state.step + 1), metrics

    return Step(step.init, update)


def repeat(k: int, step: Step) -> Step:
    """k updates in one dispatch, over batches stacked on a leading axis of k.

    The metrics of the k updates come back stacked the same way.
    """

    def update(state, batches, rng):
        return jax.lax.scan(lambda s, b: step.update(s, b, rng), state, batches, length=k)

    return Step(step.init, update)
