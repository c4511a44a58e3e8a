"""How fast each parameter moves: factors of the learning rate by path, by layer and by step.

    lr_scale=(("head/.*", 10.0),)            the first pattern that matches
    layer_decay=0.8                          less from layer to layer, towards the input
    unfreeze=(("encoder/.*", "10%"),)        nothing before a tenth of the run is over

The factors are multiplied. What the log calls learning_rate has none of them: it is the rate of a
parameter whose factor is 1, such as the head's.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import trees
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError

Rate = Callable[[str, jax.Array], Any]

# Layers as models name them: block_0, block_1, ... of a stack, or scanned, all in one array.
BLOCK = re.compile(r"((?:.*/)?)block_(\d+)/(.*)")
SCANNED = re.compile(r"((?:.*/)?)blocks/(.*)")
# What stands before the first layer.
INPUTS = trees.matcher(
    (
        r"(.*/)?(embed|embed_norm|positions|grid_positions|types|patches|stem)/.*",
        r"(.*/)?(embedding(/.*)?|class_token)",
    )
)


def build(
    lr_scale: Sequence, layer_decay: float, unfreeze: Sequence, clock: Clock, params: Mapping
) -> Rate:
    """`(path, step) -> factor` of the learning rate.

    A parameter that is frozen until a step is owned from the start, as are its moments: only what
    would move it, weight decay included, is multiplied by 0. So the first move of an Adam is as
    large as any other, and nothing of a run's state changes its shape on the way. Gradual
    unfreezing is ULMFiT's (Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text
    Classification", section 3.3), whose last layer starts alone.

    Args:
        lr_scale: (pattern, factor) pairs.
        layer_decay: see `by_layer`; 1 leaves it out.
        unfreeze: (pattern, duration) pairs: of the first pattern that matches, so many updates of
            the run leave the parameter as it is.
        params: shapes of the parameters.

    Raises:
        UserError: a pattern that matches nothing, a factor or a duration that is none.
    """
    scales = _pairs(lr_scale, params, "lr_scale", "a factor of the learning rate")
    starts = _pairs(unfreeze, params, "unfreeze", 'how long it is frozen, such as "10%"')
    starts = [(match, clock.steps(d, "config.optimizer.unfreeze")) for match, d in starts]
    if not isinstance(layer_decay, int | float) or not 0 < layer_decay <= 1:
        raise UserError(
            f"config.optimizer.layer_decay is {layer_decay!r}, but it is a factor above 0 and up "
            "to 1, such as 0.8."
        )
    layers = by_layer(layer_decay, params) if layer_decay != 1 else {}

    def rate(path, step):
        factor = next((factor for match, factor in scales if match(path)), 1.0)
        factor = factor * layers.get(path, 1.0)
        start = next((start for match, start in starts if match(path)), 0)
        return jnp.where(step >= start, factor, 0.0).astype(jnp.float32) if start else factor

    return rate


def by_layer(decay: float, params: Mapping) -> dict[str, Any]:
    """The factor of each parameter by path: 1 at the head, times `decay` at each layer below it.

    Of a stack of L blocks, block i has decay^(L - i), what stands before the first block (tables of
    embeddings and their norm, an image's patches or stem) decay^(L + 1), all else 1. These are BEiT's numbers (Bao et al.
    2021); ELECTRA's (Clark et al. 2020) are the same but for one more decay between head and last
    block. ULMFiT (Howard and Ruder 2018) calls it discriminative fine-tuning, with 1 / 2.6.

    Scanned layers get an array `[L, 1, ..., 1]`, so that they move as unrolled ones do.

    Raises:
        UserError: the parameters have no layers.
    """
    shapes, depths = trees.flatten(params), {}
    for path, x in shapes.items():
        if found := BLOCK.fullmatch(path):
            depths[found[1]] = max(depths.get(found[1], 0), int(found[2]) + 1)
        elif found := SCANNED.fullmatch(path):
            depths[found[1]] = x.shape[0]
    if not depths:
        raise UserError(
            "config.optimizer.layer_decay: this model has no layers block_0, block_1, ... or blocks; "
            "set it to 1, or name factors in config.optimizer.lr_scale."
        )

    def factor(path, x):
        if found := BLOCK.fullmatch(path):
            return float(decay ** (depths[found[1]] - int(found[2])))
        if found := SCANNED.fullmatch(path):
            layers = decay ** np.arange(depths[found[1]], 0, -1, dtype=np.float64)
            return layers.astype(np.float32).reshape(-1, *[1] * (len(x.shape) - 1))
        return float(decay ** (max(depths.values()) + 1)) if INPUTS(path) else 1.0

    return {path: factor(path, x) for path, x in shapes.items()}


def _pairs(given, params, key, what) -> list[tuple[trees.Matcher, Any]]:
    """(matcher, value) pairs of a config's (pattern, value) pairs."""
    if isinstance(given, str) or any(isinstance(p, str) or len(p) != 2 for p in given):
        raise UserError(f"config.optimizer.{key} is {given!r}, but it is pairs (pattern, {what}).")
    trees.check_patterns([pattern for pattern, _ in given], params, f"config.optimizer.{key}")
    return [(trees.matcher([pattern]), value) for pattern, value in given]
