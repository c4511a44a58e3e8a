"""Optimizers by name: which parameters each owns, and how it moves them.

The direction comes from optax (directions.py); the learning rate is applied here, so that its
schedule, its scale (lowered on a plateau) and its factors by parameter (rates.py) are in one place
and can be logged.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bigmodel_jax import directions, rates, schedules, trees
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import Metrics, mean

COMMON = (
    "lr", "schedule", "weight_decay", "clip", "l1", "l2", "train", "freeze", "lr_scale",
    "layer_decay", "unfreeze", "decayed", "accumulate",
)  # fmt: skip
DECAYED = (r"(.*/)?(kernel(_\d+)?|embedding|recurrent_kernel|input_kernel)",)


class Optimizer(NamedTuple):
    """A gradient transformation, its schedule and the parameters it owns.

    Attributes:
        tx: gradients to the direction that, times the learning rate, is subtracted.
        schedule: the learning rate, a function of the run's step.
        owns: the paths it owns. Others get no gradient, no moments, no memory.
        rate: `(path, step) -> factor` of the learning rate, a number or an array that fits the
            parameter.
        l1, l2: penalties added to the gradient (not to the reported loss) of decayed parameters.
        decayed: the paths that weight decay, L1 and L2 act on.
        accumulate: micro-batches a step; see steps.gradient.
    """

    tx: optax.GradientTransformation
    schedule: schedules.Schedule
    owns: trees.Matcher = lambda path: True
    rate: rates.Rate = lambda path, step: 1.0
    l1: float = 0.0
    l2: float = 0.0
    decayed: trees.Matcher = trees.matcher(DECAYED)
    accumulate: int = 1

    def init(self, owned) -> dict[str, Any]:
        """The slot: the plateau's scale of the learning rate, optax's state."""
        return {"scale": jnp.ones((), jnp.float32), "state": self.tx.init(owned)}

    def apply(self, grads, slot, owned, step: jax.Array) -> tuple[Any, dict[str, Any], Metrics]:
        """One update at a step of the run: (new parameters, new slot, metrics)."""
        if self.l1 or self.l2:
            grads = trees.map_paths(self._penalise(trees.flatten(owned)), grads)
        direction, state = self.tx.update(grads, slot["state"], owned)
        lr = self.schedule(step) * slot["scale"]
        moves = trees.flatten(direction)

        def move(path, param):
            return param - (lr * self.rate(path, step) * moves[path]).astype(param.dtype)

        slot = {"scale": slot["scale"], "state": state}
        return trees.map_paths(move, owned), slot, {"learning_rate": mean(lr)}

    def _penalise(self, params):
        def penalised(path, grad):
            if not self.decayed(path):
                return grad
            param = params[path].astype(grad.dtype)
            return grad + self.l2 * param + self.l1 * jnp.sign(param)

        return penalised


def build(spec: Mapping, clock: Clock, params) -> Optimizer | dict[str, Optimizer]:
    """The optimizer of a config, or a dict of them for a config that names several players.

    Args:
        spec: dict(name, lr, schedule, weight_decay, clip, l1, l2, train, freeze, lr_scale,
            layer_decay, unfreeze, decayed, accumulate, ...); what is left goes to the optimizer by
            its own names (b1, momentum, ...).
        clock: for the schedule's durations.
        params: shapes of the parameters, to check the patterns against.
    """
    if "name" in spec:
        return _build(spec, clock, params)
    if not all(isinstance(player, Mapping) and "name" in player for player in spec.values()):
        raise UserError("config.optimizer has no name: dict(name=..., lr=...), or one a player.")
    return {player: _build(inner, clock, params) for player, inner in spec.items()}


def _build(spec: Mapping, clock: Clock, params) -> Optimizer:
    options = dict(spec)
    train, freeze = options.pop("train", (".*",)), options.pop("freeze", ())
    decayed = options.pop("decayed", DECAYED)
    own_decayed = () if decayed == DECAYED else decayed
    for key, patterns in [("train", train), ("freeze", freeze), ("decayed", own_decayed)]:
        trees.check_patterns(patterns, params, f"config.optimizer.{key}")
    owns = trees.matcher(train, freeze)
    if not any(map(owns, trees.flatten(params))):
        raise UserError("config.optimizer owns no parameter: freeze covers all that train names.")
    rate = rates.build(
        options.pop("lr_scale", ()),
        options.pop("layer_decay", 1.0),
        options.pop("unfreeze", ()),
        clock,
        params,
    )
    if "lr" not in options:
        raise UserError("config.optimizer has no lr, the (peak) learning rate.")
    accumulate = options.pop("accumulate", 1)
    if not isinstance(accumulate, int) or accumulate < 1:
        raise UserError(f"config.optimizer.accumulate is {accumulate!r}: micro-batches, 1 or more.")
    lr, schedule = options.pop("lr"), options.pop("schedule", {})
    decay_match = trees.matcher(decayed)
    common: dict[str, Any] = dict(
        schedule=schedules.build(schedule, lr, clock),
        owns=owns,
        rate=rate,
        l1=options.pop("l1", 0.0),
        l2=options.pop("l2", 0.0),
        decayed=decay_match,
        accumulate=accumulate,
    )
    return Optimizer(directions.build(options, decay_match, COMMON), **common)


def set_scale(slots: dict[str, Any], scale: float) -> dict[str, Any]:
    """Slots in which every optimizer's learning rate is scaled by `scale` (after a plateau)."""

    def rescaled(slot):
        if isinstance(slot, dict) and slot.keys() == {"scale", "state"}:
            return {**slot, "scale": jax.device_put(jnp.float32(scale), slot["scale"].sharding)}
        return slot

    return {name: rescaled(slot) for name, slot in slots.items()}
