"""Directions by name: gradients to what, times the learning rate, is subtracted.

They come from optax, with its names for their options; the learning rate is applied in optim.py.
"""

import inspect
from collections.abc import Callable, Iterable

import jax
import optax

from bigmodel_jax import trees
from bigmodel_jax.errors import UserError, nearest


def build(
    options: dict, decayed: trees.Matcher, others: Iterable[str]
) -> optax.GradientTransformation:
    """Clipping, the named direction, decoupled weight decay; lamb's trust ratio comes last.

    Args:
        options: dict(name, clip, weight_decay, ...); what is left goes to the direction.
        decayed: the paths that weight decay acts on.
        others: what else config.optimizer may say, for the error of a misspelt key.
    """
    name, clip = options.pop("name"), options.pop("clip", None)
    weight_decay = options.pop("weight_decay", 0.01 if name == "adamw" else 0.0)
    if name not in DIRECTIONS:
        raise UserError(f"config.optimizer.name is {name!r}.{nearest(name, DIRECTIONS)}")
    known = inspect.signature(DIRECTIONS[name]).parameters
    for key in options:
        if key not in known:
            raise UserError(
                f"config.optimizer ({name}) has no option {key!r}.{nearest(key, [*known, *others])}"
            )
    direction = DIRECTIONS[name](**options)
    parts = [optax.clip_by_global_norm(clip)] if clip else []
    parts.append(direction)
    if isinstance(weight_decay, jax.Array) or weight_decay:  # an array where runs are stacked
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


def muon(
    beta: float = 0.95,
    ns_steps: int = 5,
    b1: float = 0.9,
    b2: float = 0.999,
    mu_dtype: str | None = None,
):
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
        mu_dtype=mu_dtype,
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
