"""Layers in stages on devices of their own, through which the parts of a batch move one after another.

Huang et al. 2019, "GPipe": at tick t stage s works on micro-batch t - s, so that behind the first
stages - 1 ticks all are busy. Here it is one program for XLA to partition (Xu et al. 2021, "GSPMD",
whose shifted buffer this is): each stage does the same to its slot of a buffer `[stages, ...]`, which
moves on by a slot a tick. Slots without a micro-batch hold zeros, and take as long as the others.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError


def pipeline(
    stage: Callable[[Any, jax.Array, Any, jax.Array], jax.Array],
    layers: Any,
    x: jax.Array,
    view: Any,
    count: int,
) -> jax.Array:
    """What all layers make of x `[batch, ...]`, of the same shape, in `count` micro-batches.

    Micro-batch i holds the rows i, i + count, ..., so that no row changes its device. Where neither mesh
    nor rules split "layers" there is one stage.

    Args:
        stage: `(its layers, x, view, number) -> x` of a micro-batch, `number` int32 [].
        layers: arrays `[layers, ...]`, whose number the stages divide.
        view: arrays that a stage needs besides: those with the rows of x go along with them, all
            others are shared.
    """
    stages = sharding.parts("layers")
    axis = sharding.spec("layers")[0] if stages > 1 else None

    def spread(x, dim=0):
        """Lays dimension `dim`, of stages, along its mesh axis."""
        spec = [axis if i == dim else P.UNCONSTRAINED for i in range(x.ndim)]
        return x if axis is None else jax.lax.with_sharding_constraint(x, P(*spec))

    def only(slot, x):
        """`[..., stages, ...]`, axis 1: x in one stage's slot, zeros in the others."""
        slots = jnp.arange(stages).reshape(-1, *[1] * (x.ndim - 2))
        return spread(jnp.where(slots == slot, x, jnp.zeros((), x.dtype)), 1)

    def enter(x):
        # To all slots, and not at each tick to the first: its gradient is then summed over the stages
        # once, behind the loop.
        return jnp.pad(only(0, x[:, None]), [(0, stages - 1), *[(0, 0)] * x.ndim])

    def move(x, new):
        zero = jnp.zeros((), x.dtype)
        onward = jax.lax.pad(x, zero, [(1, -1, 0), *[(0, 0, 0)] * (x.ndim - 1)])
        return jnp.where(jnp.arange(stages).reshape(-1, *[1] * (x.ndim - 1)) == 0, new, onward)

    def tick(buffer, arriving):
        x, *rest = jax.tree.map(move, buffer, arriving)
        x = jax.vmap(run, spmd_axis_name=axis)(parts, copies, x, *rest)
        return (x, *rest), x

    def run(layers, shared, x, own, number):
        both = zip(shared, own, strict=True)
        return stage(layers, x, tree.unflatten([a if b is None else b for a, b in both]), number)

    def cut(x):
        return jnp.moveaxis(x.reshape(-1, count, *x.shape[1:]), 1, 0)

    parts = jax.tree.map(lambda x: spread(x.reshape(stages, -1, *x.shape[1:])), layers)
    leaves, tree = jax.tree.flatten(view)
    own = [cut(leaf) if len(leaf) == len(x) else None for leaf in leaves]
    shared = [None if len(leaf) == len(x) else leaf for leaf in leaves]
    # A copy a stage, for the same reason as above.
    copies = jax.tree.map(lambda x: spread(jnp.stack([x] * stages)), shared)
    arriving = jax.tree.map(enter, (cut(x), own, jnp.arange(count)))
    empty = jax.tree.map(lambda x: spread(jnp.zeros_like(x[0])), arriving)
    _, left = jax.lax.scan(tick, empty, arriving)
    # All but one are zeros: summed in their own dtype, where jnp.sum would send float32.
    y = jax.lax.reduce_sum(only(stages - 1, left[stages - 1 :]), (1,))
    return jnp.moveaxis(y, 0, 1).reshape(x.shape)


def count_of(microbatches: int, rows: int, train: bool) -> int:
    """How many micro-batches a batch is cut into: in evaluation, where that changes nothing, as many
    as its rows allow.

    Raises:
        UserError: in training they are fewer than stages, or do not divide the rows of a device.
    """
    stages, devices = sharding.parts("layers"), sharding.parts("batch")
    if not train:
        return math.gcd(rows // devices, microbatches) if rows % devices == 0 else 1
    if microbatches < stages:
        raise UserError(
            f"model.microbatches is {microbatches} on a mesh of {stages} stages, of which some would "
            f"never work: set it to {stages} or more, {4 * stages} for four fifths of the time."
        )
    if rows % (devices * microbatches):
        raise UserError(
            f"A batch of {rows} rows, on {devices} devices, does not divide into "
            f"model.microbatches={microbatches}: change either, or config.optimizer.accumulate."
        )
    return microbatches
