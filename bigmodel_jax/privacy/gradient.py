"""DP-SGD as a step: each example's gradient is clipped, and noise is added to their sum.

Abadi et al. 2016, algorithm 1. The sum is divided by the expected size of a batch, as there: the true
size would tell of the examples.
"""

import jax
import jax.numpy as jnp

from bigmodel_jax import trees
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import Mean, mean
from bigmodel_jax.optim import Optimizer
from bigmodel_jax.steps import Step, nonfinite


def gradient(loss, optimizer: Optimizer, *, clip: float, noise: float, expected: float) -> Step:
    """As steps.gradient, of one player, but private.

    With `optimizer.accumulate = n` the gradients of a batch exist an n-th at a time. A row of padding,
    whose loss has no weight, has no gradient. "loss" and the metrics of `loss` are of the examples
    themselves: these are not private, nor is "clipped", the share of examples that were.

    Args:
        loss: as of steps.gradient; its total is a sum over examples.
        clip: the bound of the norm of each example's gradient, over all parameters that are owned.
        noise: standard deviation of the noise, in units of `clip`.
        expected: examples in a batch, on the average.

    Raises:
        UserError: the loss mixes examples, by statistics of a batch or in the batch itself.
    """
    accumulate = optimizer.accumulate

    def init(variables):
        return {"train": optimizer.init(trees.select(variables["params"], optimizer.owns))}

    def clipped(owned, variables, row, key):
        """(the clipped gradient, loss, metrics, whether there was something to clip) of an example."""

        def objective(owned):
            params = trees.replace(variables["params"], owned)
            alone = jax.tree.map(lambda x: x[None], row)
            value, aux = loss({**variables, "params": params}, alone, key, train=True)
            if aux.updates:
                raise UserError(
                    f"config.task private clips the gradient of each example, but this model mixes them "
                    f"in {' and '.join(sorted(aux.updates))}: take one without batch normalisation."
                )
            return value.total, (value, aux.metrics)

        grads, (value, metrics) = jax.grad(objective, has_aux=True)(owned)
        grads = jax.tree.map(lambda g: g.astype(jnp.float32), grads)
        norm = jnp.sqrt(sum(jnp.square(g).sum() for g in jax.tree.leaves(grads)))
        scale = jnp.minimum(1.0, clip / jnp.maximum(norm, 1e-12))
        grads = jax.tree.map(lambda g: g * scale, grads)
        return grads, value, metrics, mean(norm > clip, value.weight > 0)

    def summed(owned, variables, rows, keys):
        each = jax.vmap(clipped, (None, None, 0, 0))(owned, variables, rows, keys)
        return jax.tree.map(lambda x: x.sum(0), each)

    def accumulated(owned, variables, rows, keys):
        def part(x):
            return jnp.moveaxis(x.reshape(-1, accumulate, *x.shape[1:]), 1, 0)

        def add(total, given):
            return jax.tree.map(jnp.add, total, summed(owned, variables, *given)), None

        parts = jax.tree.map(part, (rows, keys))
        first = jax.tree.map(lambda x: x[0], parts)
        shapes = jax.eval_shape(summed, owned, variables, *first)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return jax.lax.scan(add, zeros, parts)[0]

    def update(state, batch, rng):
        if "other_label" in batch:
            raise UserError(
                "config.task private clips the gradient of each example, but config.data.batch_transforms "
                "mixes two in one: leave mix out."
            )
        owned = trees.select(state.params, optimizer.owns)
        loss_key, noise_key = jax.random.split(rng)
        keys = jax.random.split(loss_key, len(jax.tree.leaves(batch)[0]))

        sums = accumulated if accumulate > 1 else summed
        grads, value, metrics, share = sums(owned, state.variables, batch, keys)

        leaves, tree = jax.tree.flatten(grads)
        draws = [
            g + noise * clip * jax.random.normal(key, g.shape)
            for g, key in zip(leaves, jax.random.split(noise_key, len(leaves)), strict=True)
        ]
        grads = jax.tree.unflatten(tree, [g / expected for g in draws])
        squares = jax.tree.map(lambda g: jnp.square(g).sum(), grads)
        flags = Mean(nonfinite(squares, state.params), jnp.ones((), jnp.float32))
        norm = jnp.sqrt(sum(jax.tree.leaves(squares)))
        grads = jax.tree.map(lambda g, x: g.astype(x.dtype), grads, owned)
        owned, slot, report = optimizer.apply(grads, state.slots["train"], owned, state.step)
        params = trees.replace(state.params, owned)
        state = state.replace(
            variables={**state.variables, "params": params}, slots={**state.slots, "train": slot}
        )
        found = {"nonfinite": flags, "loss": value, "grad_norm": mean(norm), "clipped": share}
        return state, {**found, **report, **metrics}

    return Step(init, update)
