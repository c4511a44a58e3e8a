"""Optimizers by name: which parameters each owns, and how it moves them.

The direction comes from optax; the learning rate is applied here, so that its schedule, its scale
(lowered on a plateau) and its per-parameter factors are in one place and can be logged.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bigmodel_jax import schedules, trees
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.metrics import Metrics, mean

COMMON = (
    "lr", "schedule", "weight_decay", "clip", "l1", "l2", "train", "freeze", "lr_scale", "decayed",
    "accumulate",
)  # fmt: skip
DECAYED = (r"(.*/)?(kernel(_\d+)?|embedding|recurrent_kernel|input_kernel)",)


class Optimizer(NamedTuple):
    """A gradient transformation, its schedule and the parameters it owns.

    Attributes:
        tx: gradients to the direction that, times the learning rate, is subtracted.
        schedule: the learning rate, a function of the run's step.
        owns: the paths it owns. Others get no gradient, no moments, no memory.
        lr_scale: `path -> factor` of the learning rate.
        l1, l2: penalties added to the gradient (not to the reported loss) of decayed parameters.
        decayed: the paths that weight decay, L1 and L2 act on.
        accumulate: micro-batches a step; see steps.gradient.
    """

    tx: optax.GradientTransformation
    schedule: schedules.Schedule
    owns: trees.Matcher = lambda path: True
    lr_scale: Callable[[str], float] = lambda path: 1.0
    l1: float = 0.0
    l2: float = 0.0
    decayed: trees.Matcher = trees.matcher(DECAYED)
    accumulate: int = 1

    def init(self, owned) -> dict[str, Any]:
        """The slot: the plateau's scale of the learning rate, optax's state."""
        return {"scale": jnp.ones((), jnp.float32), "state": self.tx.init(owned)}

    def apply(self, grads, slot, owned, step: jax.Array) -> tuple[Any, dict[str, Any], Metrics]:
        """One update at a step of the run: (new parameters, new slot, metrics)."""
        squares = [jnp.square(g.astype(jnp.float32)).sum() for g in jax.tree.leaves(grads)]
        if self.l1 or self.l2:
            grads = trees.map_paths(self._penalise(trees.flatten(owned)), grads)
        direction, state = self.tx.update(grads, slot["state"], owned)
        lr = self.schedule(step) * slot["scale"]
        moves = trees.flatten(direction)

        def move(path, param):
            return param - (lr * self.lr_scale(path) * moves[path]).astype(param.dtype)

        metrics = {"grad_norm": mean(jnp.sqrt(sum(squares))), "learning_rate": mean(lr)}
        return trees.map_paths(move, owned), {"scale": slot["scale"], "state": state}, metrics

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
        spec: dict(name, lr, schedule, weight_decay, clip, l1, l2, train, freeze, lr_scale, decayed,
            accumulate, ...); what is left goes to the optimizer by its own names (b1, momentum, ...).
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
    scales = tuple(options.pop("lr_scale", ()))
    own_decayed = () if decayed == DECAYED else decayed
    for key, patterns in [("train", train), ("freeze", freeze), ("decayed", own_decayed)]:
        trees.check_patterns(patterns, params, f"config.optimizer.{key}")
    trees.check_patterns([pattern for pattern, _ in scales], params, "config.optimizer.lr_scale")
    owns = trees.matcher(train, freeze)
    if not any(map(owns, trees.flatten(params))):
        raise UserError("config.optimizer owns no parameter: freeze covers all that train names.")
    rules = [(trees.matcher([pattern]), factor) for pattern, factor in scales]
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
        lr_scale=lambda path: next((factor for match, factor in rules if match(path)), 1.0),
        l1=options.pop("l1", 0.0),
        l2=options.pop("l2", 0.0),
        decayed=decay_match,
        accumulate=accumulate,
    )
    return Optimizer(_transformation(options, decay_match), **common)


def set_scale(slots: dict[str, Any], scale: float) -> dict[str, Any]:
    """Slots in which every optimizer's learning rate is scaled by `scale` (after a plateau)."""

    def rescaled(slot):
        if isinstance(slot, dict) and slot.keys() == {"scale", "state"}:
            return {**slot, "scale": jax.device_put(jnp.float32(scale), slot["scale"].sharding)}
        return slot

    return {name: rescaled(slot) for name, slot in slots.items()}


def _transformation(options: dict, decayed: trees.Matcher) -> optax.GradientTransformation:
    """Clipping, the named direction, decoupled weight decay; lamb's trust ratio comes last."""
    name, clip = options.pop("name"), options.pop("clip", None)
    weight_decay = options.pop("weight_decay", 0.01 if name == "adamw" else 0.0)
    if name not in DIRECTIONS:
        raise UserError(f"config.optimizer.name is {name!r}.{nearest(name, DIRECTIONS)}")
    known = inspect.signature(DIRECTIONS[name]).parameters
    for key in options:
        if key not in known:
            raise UserError(
                f"config.optimizer ({name}) has no option {key!r}.{nearest(key, [*known, *COMMON])}"
            )
    direction = DIRECTIONS[name](**options)
    parts = [optax.clip_by_global_norm(clip)] if clip else []
    parts.append(direction)
    if weight_decay:
        mask = lambda params: trees.map_paths(lambda path, _: decayed(path), params)  # noqa: E731
        parts.append(optax.add_decayed_weights(weight_decay, mask=mask))
    if name == "lamb":
        parts.append(optax.scale_by_trust_ratio())
    return optax.chain(*parts)


def sgd(momentum: float = 0.0, nesterov: bool = False):
    """Stochastic gradient descent; Nesterov's form where asked for."""
    return optax.trace(momentum, nesterov) if momentum else optax.identity()


def rmsprop(decay: float = 0.9, eps: float = 1e-8, momentum: float = 0.0):
    """RMSProp (Hinton 2012), with momentum on the scaled gradient."""
    return optax.chain(optax.scale_by_rms(decay, eps), sgd(momentum))


def adafactor(decay_rate: float = 0.8, min_dim_size_to_factor: int = 128):
    """Adafactor (Shazeer and Stern 2018) with a given learning rate and update clipping."""
    return optax.chain(
        optax.scale_by_factored_rms(
            decay_rate=decay_rate, min_dim_size_to_factor=min_dim_size_to_factor
        ),
        optax.clip_by_block_rms(1.0),
        optax.scale_by_param_block_rms(),
    )


def muon(beta: float = 0.95, ns_steps: int = 5, b1: float = 0.9, b2: float = 0.999):
    """Muon (Jordan et al. 2024) for matrices named `kernel`; Adam for all other parameters."""

    def dimensions(params):
        def of(keys, x):  # optax also asks about trees with masked leaves: keep the structure
            matrix = x.ndim == 2 and str(keys[-1].key).endswith("kernel")
            return optax.contrib.MuonDimensionNumbers() if matrix else None

        return jax.tree_util.tree_map_with_path(of, params)

    tx = optax.contrib.muon(
        1.0,
        beta=beta,
        ns_steps=ns_steps,
        adam_b1=b1,
        adam_b2=b2,
        muon_weight_dimension_numbers=dimensions,
    )
    return optax.chain(tx, optax.scale(-1.0))  # its sign and rate of 1 taken back


DIRECTIONS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": sgd,
    "adagrad": optax.scale_by_rss,
    "rmsprop": rmsprop,
    "adam": optax.scale_by_adam,
    "adamw": optax.scale_by_adam,
    "lion": optax.scale_by_lion,
    "adafactor": adafactor,
    "lamb": optax.scale_by_adam,
    "muon": muon,
}
