"""Rows of running text that are put together on the device: the same bits as data/packing.py's."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.data.packing import Index


@flax.struct.dataclass
class Rows:
    """Where in the stream of a `store` the rows of a batch lie; all fields [rows].

    Attributes:
        begin: of the row; it may go on at the stream's beginning.
        kept: tokens of the row.
        valid, index: as in the batch.
        length: of the padded rows; a constant of the compiled program.
    """

    begin: Any
    kept: Any
    valid: Any
    index: Any
    length: int = flax.struct.field(pytree_node=False)


def store(flat: np.ndarray, index: Index, shift: bool) -> dict[str, np.ndarray]:
    """The stream of which rows are stretches: "tokens" and perhaps "targets", int32 [tokens].

    "begins" is bool [tokens]: where a segment does.
    """
    first, count = index.stream()
    begins = np.cumsum(count) - count
    place = np.repeat(first - begins, count) + np.arange(count.sum())
    starts = np.zeros(len(place), bool)
    starts[begins] = True
    stream = {"tokens": flat[place - shift].astype(np.int32), "begins": starts}
    return {**stream, "targets": flat[place].astype(np.int32)} if shift else stream


def assemble(store: dict[str, jax.Array], rows: Rows) -> dict[str, jax.Array]:
    """The batch of `rows`, bit for bit that of `packing.fill`."""
    position = jnp.arange(rows.length, dtype=jnp.int32)
    mask = position < rows.kept[:, None]
    place = (rows.begin[:, None] + position) % len(store["tokens"])
    starts = store["begins"][place] | (position == 0)
    last = jax.lax.cummax(jnp.where(starts, position, 0), axis=1)
    batch = {
        "segments": jnp.cumsum(starts, 1, dtype=jnp.int32),
        "positions": position - last,
        **{key: store[key][place] for key in ("tokens", "targets") if key in store},
    }
    batch = {key: jnp.where(mask, values, 0) for key, values in batch.items()}
    return {**batch, "mask": mask, "valid": rows.valid, "index": rows.index}
