"""Layers in a tree of parameters: one subtree each, or stacked on a leading axis for a scan.

"X/block_0/...", "X/block_1/..." and "X/blocks/..." (nn/transformer.py:Stack) are the same network.
"""

import re
from typing import Any

import jax.numpy as jnp
import numpy as np

from bigmodel_jax import trees
from bigmodel_jax.errors import UserError

_BLOCK = re.compile(r"((?:.*/)?)block_(\d+)(/.*)")
_BLOCKS = re.compile(r"((?:.*/)?)blocks(/.*)")


def stack_layers(params) -> dict[str, Any]:
    """Every X/block_0/..., X/block_1/... as one X/blocks/... with a leading axis; the rest as it is.

    Of arrays of NumPy it makes arrays of NumPy, of JAX's those of JAX.

    Raises:
        UserError: a layer is missing, or differs from the others in its parameters or shapes.
    """
    found: dict[str, dict[int, Any]] = {}
    whole = {}
    for path, x in trees.flatten(params).items():
        match = _BLOCK.fullmatch(path)
        if match:
            found.setdefault(f"{match[1]}blocks{match[3]}", {})[int(match[2])] = x
        else:
            whole[path] = x
    counts: dict[str, int] = {}
    for path, layers in found.items():
        stack = path[: _BLOCKS.fullmatch(path).end(1)]
        counts[stack] = max(counts.get(stack, 0), *(i + 1 for i in layers))
    for path, layers in found.items():
        count = counts[path[: _BLOCKS.fullmatch(path).end(1)]]
        missing = [i for i in range(count) if i not in layers]
        shapes = {x.shape for x in layers.values()}
        if missing or len(shapes) > 1:
            what = f"layer {missing[0]} lacks it" if missing else f"its shapes are {sorted(shapes)}"
            raise UserError(f"The layers of {path!r} do not stack: {what}.")
        values = [layers[i] for i in range(count)]
        numpy = all(isinstance(x, np.ndarray) for x in values)
        whole[path] = np.stack(values) if numpy else jnp.stack(values)
    return trees.unflatten(whole)


def unstack_layers(params) -> dict[str, Any]:
    """The inverse: X/blocks/... `[layers, ...]` as X/block_0/..., X/block_1/..., ..."""
    whole = {}
    for path, x in trees.flatten(params).items():
        match = _BLOCKS.fullmatch(path)
        if match:
            whole |= {f"{match[1]}block_{i}{match[2]}": x[i] for i in range(len(x))}
        else:
            whole[path] = x
    return trees.unflatten(whole)
