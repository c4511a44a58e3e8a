"""Rows of a flat token array become a batch, on the host or on the device: the same bits."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.errors import UserError


@flax.struct.dataclass
class Rows:
    """Where in the flat token array the rows of a batch lie; all fields [rows].

    A row is at most two pieces: the head and the tail of a text, or the heads of two texts.

    Attributes:
        start: of the first piece.
        head: tokens of the first piece.
        second: start of the second piece.
        kept: tokens of both.
        label, valid: as in the batch.
        length: of the padded rows; a constant of the compiled program.
    """

    start: Any
    head: Any
    second: Any
    kept: Any
    label: Any
    valid: Any
    length: int = flax.struct.field(pytree_node=False)


def host_batch(flat: np.ndarray, rows: Rows) -> dict[str, np.ndarray]:
    """The batch of `rows` of a flat token array, padded with 0; row by row, which copies fastest."""
    tokens = np.zeros((len(rows.kept), rows.length), np.int32)
    places = zip(tokens, rows.start, rows.head, rows.second, rows.kept, strict=True)
    for row, start, head, second, kept in places:
        row[:head] = flat[start : start + head]
        row[head:kept] = flat[second : second + kept - head]
    mask = np.arange(rows.length) < np.asarray(rows.kept)[:, None]
    return {"tokens": tokens, "mask": mask, "label": rows.label, "valid": rows.valid}


def assemble(store: jax.Array, rows: Rows) -> dict[str, jax.Array]:
    """The batch of `rows` on the device, bit for bit that of `host_batch`."""
    pieces = (rows.start, rows.head, rows.second, rows.kept)
    start, head, second, kept = (x[:, None] for x in pieces)
    position = jnp.arange(rows.length)
    mask = position < kept
    index = jnp.where(position < head, start + position, second + position - head)
    tokens = jnp.where(mask, store[jnp.where(mask, index, 0)], 0)
    return {"tokens": tokens, "mask": mask, "label": rows.label, "valid": rows.valid}


class Cut(NamedTuple):
    """What is kept of each example: the fields of Rows of the same names, int64 [examples]."""

    start: np.ndarray
    head: np.ndarray
    second: np.ndarray
    kept: np.ndarray


def cut(offsets: np.ndarray, max_length: int, keep: str, pairs: bool = False) -> Cut:
    """Cuts texts that lie one after another to `max_length` tokens.

    Args:
        offsets: [examples + 1]; with `pairs`, [2 * examples + 1], and the second text of each
            begins with a separator.
        keep: "head", "tail" or "both" of a single text. Of pairs each keeps its head, and the longer
            is cut first, as tokenizers do it (`truncation="longest_first"`).
    """
    if not pairs:
        start, end = offsets[:-1], offsets[1:]
        kept = np.minimum(end - start, max_length)
        first = head(keep, kept)
        return Cut(start, first, end - (kept - first), kept)
    start, second, end = offsets[:-1:2], offsets[1::2], offsets[2::2]
    first, other = second - start, end - second - 1  # without the separator
    room = max_length - 1
    short = np.minimum(np.minimum(first, other), room // 2)
    long = np.minimum(np.maximum(first, other), room - short)
    first = np.where(first <= other, short, long)
    return Cut(start, first, second, short + long + 1)


def head(keep: str, kept: np.ndarray) -> np.ndarray:
    """How many of the `kept` tokens of a text are its first ones; the others are its last."""
    return {"head": kept, "tail": 0 * kept, "both": kept // 2}[keep]


def check_buckets(buckets: Sequence[int], max_length: int) -> tuple[int, ...]:
    """The padded lengths, the last of which holds a text of max_length."""
    if not buckets:
        buckets = [2**n for n in range(5, 31) if 2**n < max_length]
    buckets = tuple(b for b in buckets if b < max_length) + (max_length,)
    if max_length < 1 or any(b <= a for a, b in zip(buckets, buckets[1:], strict=False)):
        raise UserError(f"config.data.buckets must rise from 1 or more, but are {buckets}.")
    return buckets
