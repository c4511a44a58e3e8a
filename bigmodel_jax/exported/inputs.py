"""What `predict` may read of a batch, by the kind of data: names, dtypes, axes; and rows made up."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from bigmodel_jax.errors import UserError

# The axes that may have any length, by the name of an array. The first is always "batch".
LENGTH, SOURCE = ("batch", "length"), ("batch", "source_length")
CHOICES = ("batch", "choices", "length")
KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "answers": dict.fromkeys(("tokens", "types", "mask", "context"), LENGTH),
    "choices": {**dict.fromkeys(("tokens", "types", "mask"), CHOICES), "real": CHOICES[:2]},
    "conll": dict.fromkeys(("tokens", "mask"), LENGTH),
    "pairs": {
        **dict.fromkeys(("source", "source_segments", "source_positions"), SOURCE),
        **dict.fromkeys(("tokens", "targets", "segments", "positions"), LENGTH),
    },
    "tokens": {
        **dict.fromkeys(("tokens", "targets", "segments", "positions"), LENGTH),
        "places": ("batch", "places"),
        "index": ("batch",),
    },
}
KINDS["chat"] = KINDS["tokens"]
FLAGS = ("mask", "context", "real")  # bool; the others are int32, but images uint8


class Input(NamedTuple):
    """An array of a batch; an axis has a name or a size."""

    dtype: np.dtype
    axes: tuple[str | int, ...]


def find(config: Mapping, example: Mapping[str, np.ndarray]) -> dict[str, Input]:
    """The arrays that a task may read of a batch of the run's data, by name.

    Args:
        example: a batch of labelled texts, of which only the names of the arrays matter; of other data
            it is not read.

    Raises:
        UserError: it is not known how its data are laid out.
    """
    data = config["data"]
    if data["name"] == "images":
        size, channels = data["image_size"], data.get("channels", 3)
        return {"image": Input(np.dtype(np.uint8), ("batch", size, size, channels))}
    if data["name"] == "text":
        read = {name: LENGTH for name in ("tokens", "mask", "types") if name in example}
    elif data["name"] in KINDS:
        read = KINDS[data["name"]]
    else:
        raise UserError(
            f"The run's data are {data['name']!r}, and an export knows the batches only of "
            f"{', '.join(sorted((*KINDS, 'images', 'text')))}."
        )
    return {k: Input(np.dtype(bool if k in FLAGS else np.int32), axes) for k, axes in read.items()}


def longest(config: Mapping) -> dict[str, int]:
    """How long the axes may be, where the run says so."""
    data, model = config["data"], config["model"]
    known = {"length": [data.get(k) for k in ("max_length", "length", "target_length")]}
    known["source_length"] = [data.get("source_length")]
    for sizes in known.values():
        sizes.append(model.get("max_length"))
    return {axis: min(n for n in sizes if n) for axis, sizes in known.items() if any(sizes)}


def rows(
    inputs: Mapping[str, Input], sizes: Mapping[str, int], vocabulary: int, seed: int
) -> dict[str, np.ndarray]:
    """A batch as if of texts or images, at random: each row is real up to a place of its own.

    Args:
        sizes: of the axes that have names.
        vocabulary: ids are below it.
    """
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {}
    ends: dict[tuple, np.ndarray] = {}  # texts of one layout end together
    for name, x in inputs.items():
        shape = tuple(sizes.get(axis, axis) for axis in x.axes)  # type: ignore[arg-type]
        if x.axes not in ends:
            ends[x.axes] = rng.integers(1, shape[-1] + 1, (*shape[:-1], 1))
        real = np.arange(shape[-1]) < ends[x.axes]
        if name == "image":
            values = rng.integers(0, 256, shape)
        elif name == "index":
            values = np.arange(shape[0])
        elif name == "places":
            values = rng.integers(0, made["tokens"].shape[-1], shape)
        elif x.dtype == bool or name.endswith("segments"):
            values = real
        elif name.endswith("positions"):
            values = np.where(real, np.arange(shape[-1]), 0)
        elif name == "types":
            values = real & (np.arange(shape[-1]) >= ends[x.axes] // 2)
        else:
            values = np.where(real, rng.integers(1, vocabulary, shape), 0)
        made[name] = values.astype(x.dtype)
    return made


def shapes(inputs: Mapping[str, Input], sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Each array's shape and dtype; `sizes` of the named axes may be symbols of jax.export."""
    return {
        name: jax.ShapeDtypeStruct(tuple(sizes.get(a, a) for a in x.axes), x.dtype)  # type: ignore
        for name, x in inputs.items()
    }
