"""What the first layer of a network of images looks for: its filters, as small pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bigmodel_jax import trees

MOST = 32


def first_kernel(params: Mapping[str, Any], shape: tuple[int, int, int]) -> Any:
    """The kernel that reads images, by its shape; None where there is none.

    It is [rows, columns, channels, filters] of a convolution or of patches; of a dense layer
    [height * width * channels, units]. Where several could be, the first by name.

    Args:
        shape: of the images, (height, width, channels).
    """
    kernels = [x for path, x in trees.flatten(params).items() if path.endswith("kernel")]
    spatial = [x for x in kernels if x.ndim == 4 and x.shape[2] == shape[2]]
    dense = [x for x in kernels if x.ndim == 2 and x.shape[0] == np.prod(shape)]
    return next(iter(spatial + dense), None)


def keep(folder: Path, variables: Mapping[str, Any], source: Any, mesh: jax.sharding.Mesh) -> None:
    """Writes filters.npz, of the MOST filters with the largest norm; called on every process.

    "filter" float32 [filters, rows, columns, channels], "number" of each, "total"; nothing where the
    source has no images, or no kernel reads them.
    """
    if not hasattr(source, "images"):
        return
    shape = source.peek()["image"].shape[1:]
    kernel = first_kernel(variables["params"], shape)
    if kernel is None:
        return
    everywhere = jax.sharding.NamedSharding(mesh, jax.P())
    kernel = np.asarray(jax.jit(lambda x: x, out_shardings=everywhere)(kernel), np.float32)
    found = np.moveaxis(kernel, -1, 0)
    found = found if found.ndim == 4 else found.reshape(-1, *shape)
    norms = np.square(found).sum((1, 2, 3))
    largest = np.argsort(-norms, kind="stable")[:MOST]
    if jax.process_index() == 0:
        np.savez(folder / "filters.npz", filter=found[largest], number=largest, total=len(found))


def as_images(filters: np.ndarray) -> np.ndarray:
    """Each filter as bytes of its own scale, 0 in the middle: uint8 [filters, rows, columns, channels]."""
    largest = np.abs(filters).max((1, 2, 3), keepdims=True)
    return (127.5 + 127.5 * filters / np.where(largest > 0, largest, 1)).round().astype(np.uint8)
