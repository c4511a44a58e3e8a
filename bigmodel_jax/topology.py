"""Which device stands where in a mesh: axes that talk most lie on the fastest links."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jax.experimental import mesh_utils

from bigmodel_jax.errors import UserError

# What a step sends along them, the least first: gradients once; activations at the borders of stages;
# parameters, layer by layer; tokens; keys and values; activations, several times a layer.
QUIETEST_FIRST = ("data", "stage", "fsdp", "expert", "sequence", "tensor")


def arrange(sizes: Mapping[str, int], devices: Sequence[Any]) -> np.ndarray:
    """Devices `[data, fsdp, ...]`, an axis for each of `sizes`, in its order.

    Where devices lie in several slices (of TPUs) or hosts (of GPUs), as their `slice_index` says, the
    quietest axes go across them, and the others stay within. In a slice `mesh_utils` finds the torus'
    axes. The rows of a batch that one process holds come one after another.

    Raises:
        UserError: slices of unlike sizes.
    """
    slices = defaultdict(list)
    for device in devices:
        slices[getattr(device, "slice_index", 0)].append(device)
    count = len(slices)
    if len({len(found) for found in slices.values()}) > 1:
        found = ", ".join(f"{len(found)} in {i}" for i, found in sorted(slices.items()))
        raise UserError(f"The {count} slices have unlike numbers of devices ({found}).")
    across = {}
    for name in QUIETEST_FIRST:
        across[name] = math.gcd(count // math.prod(across.values()), sizes[name])
    within = [sizes[name] // across[name] for name in QUIETEST_FIRST]
    try:
        placed = _place(within, list(across.values()), devices, split=False)
    except NotImplementedError:  # an axis is smaller than each of the torus'
        placed = _place(within, list(across.values()), devices, split=True)
    return _by_process(placed.transpose([QUIETEST_FIRST.index(name) for name in sizes]))


def _place(within, across, devices, *, split):
    if math.prod(across) == 1:
        return mesh_utils.create_device_mesh(within, devices, allow_split_physical_axes=split)
    return mesh_utils.create_hybrid_device_mesh(
        within, across, devices, allow_split_physical_axes=split
    )


def _by_process(placed: np.ndarray) -> np.ndarray:
    """Moves the places of `[data, fsdp, ...]` that the same processes hold next to one another.

    A process reads one piece of each batch. A host of a torus is a block of it, which along one long
    axis is scattered; such an axis sends to all of its devices, and their order costs nothing.
    """
    places = placed.reshape(placed.shape[0] * placed.shape[1], -1)
    holders = [frozenset(device.process_index for device in place) for place in places]
    order = sorted(range(len(places)), key=lambda i: holders.index(holders[i]))
    return places[order].reshape(placed.shape)
