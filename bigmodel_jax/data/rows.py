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
    """Where in the flat token array the rows of a batch lie; all arrays [rows].

    A row is at most two pieces, the head and the tail of a text, or the heads of two texts, with what
    the tokenizer sets around.

    Attributes:
        start: of the first piece.
        head: tokens of the first piece.
        second: start of the second piece.
        kept: tokens of both.
        label, valid: as in the batch.
        length: of the padded rows; a constant of the compiled program, as is `around`.
    """

    start: Any
    head: Any
    second: Any
    kept: Any
    label: Any
    valid: Any
    length: int = flax.struct.field(pytree_node=False)
    around: "Around" = flax.struct.field(pytree_node=False)


class Around(NamedTuple):
    """Ids that stand before, between and after texts, such as [CLS] first [SEP] second [SEP].

    `pairs` is whether there are two texts, of which the second is then of another type (BERT).
    """

    before: tuple[int, ...] = ()
    between: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    pairs: bool = False

    @property
    def ends(self) -> int:
        """How many stand before and after."""
        return len(self.before) + len(self.after)

    @property
    def count(self) -> int:
        """How many there are in a row."""
        return self.ends + len(self.between) * self.pairs


def around(tokenizer: Any, pairs: bool) -> Around:
    """What a trained tokenizer sets around texts by its own template.

    Without one, nothing; but between the two texts of a pair its separator.

    Raises:
        UserError: there are pairs and no separator.
    """
    template = tokenizer.template() if hasattr(tokenizer, "template") else None
    before, between, after = template or ((), (), ())
    if pairs and not between:
        separator = getattr(tokenizer, "separator", None)
        if separator is None:
            raise UserError(
                "The tokenizer has no separator to set between two texts: config.data.tokenizer "
                'needs another, such as dict(name="words").'
            )
        between = (separator,)
    return Around(before, between, after, pairs)


def host_batch(flat: np.ndarray, rows: Rows) -> dict[str, np.ndarray]:
    """The batch of `rows` of a flat token array, padded with 0; row by row, which copies fastest.

    "types" [rows, length] int32, 1 from the second text of a pair on, are there where the tokenizer has
    a template.
    """
    before, _, after, pairs = rows.around
    tokens = np.zeros((len(rows.kept), rows.length), np.int32)
    places = zip(tokens, rows.start, rows.head, rows.second, rows.kept, strict=True)
    for row, start, head, second, kept in places:
        inner = row[len(before) :]
        inner[:head] = flat[start : start + head]
        inner[head:kept] = flat[second : second + kept - head]
    valid, kept = np.asarray(rows.valid)[:, None], np.asarray(rows.kept)[:, None]
    place = np.arange(rows.length)
    for i, token in enumerate(before):
        tokens[:, i] = np.where(valid[:, 0], token, 0)
    end = len(before) + kept
    for i, token in enumerate(after):
        tokens = np.where(valid & (place == end + i), np.int32(token), tokens)
    batch = {"tokens": tokens, "mask": valid & (place < end + len(after))}
    if pairs and rows.around.ends:
        head = len(before) + np.asarray(rows.head)[:, None] + len(rows.around.between)
        batch["types"] = (batch["mask"] & (place >= head)).astype(np.int32)
    return {**batch, "label": rows.label, "valid": rows.valid}


def assemble(store: jax.Array, rows: Rows) -> dict[str, jax.Array]:
    """The batch of `rows` on the device, bit for bit that of `host_batch`."""
    before, between, after, pairs = rows.around
    pieces = (rows.start, rows.head, rows.second, rows.kept, rows.valid)
    start, head, second, kept, valid = (x[:, None] for x in pieces)
    place = jnp.arange(rows.length)
    position, end = place - len(before), len(before) + kept
    inside = (position >= 0) & (position < kept)
    index = jnp.where(position < head, start + position, second + position - head)
    tokens = jnp.where(inside, store[jnp.where(inside, index, 0)], 0)
    for i, token in enumerate(before):
        tokens = jnp.where(valid & (place == i), jnp.int32(token), tokens)
    for i, token in enumerate(after):
        tokens = jnp.where(valid & (place == end + i), jnp.int32(token), tokens)
    batch = {"tokens": tokens, "mask": valid & (place < end + len(after))}
    if pairs and rows.around.ends:
        second_text = batch["mask"] & (position >= head + len(between))
        batch["types"] = second_text.astype(jnp.int32)
    return {**batch, "label": rows.label, "valid": rows.valid}


def ends_of_document(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The ids before and after a document of running text.

    By the tokenizer's own template; without one, its separator in both places, if it has one.
    """
    template = tokenizer.template() if hasattr(tokenizer, "template") else None
    if template:
        return list(template[0]), list(template[2])
    separator = [] if tokenizer.separator is None else [tokenizer.separator]
    return separator, separator


class Cut(NamedTuple):
    """What is kept of each example: the fields of Rows of the same names, int64 [examples].

    `kept` is without what stands at the ends.
    """

    start: np.ndarray
    head: np.ndarray
    second: np.ndarray
    kept: np.ndarray


def cut(offsets: np.ndarray, max_length: int, keep: str, around: Around) -> Cut:
    """Cuts texts that lie one after another to `max_length` tokens, with what stands around them.

    Args:
        offsets: [examples + 1]; of pairs, [2 * examples + 1], and the second text of each begins with
            what stands between the two.
        keep: "head", "tail" or "both" of a single text. Of pairs each keeps its head, and the longer
            is cut first, as tokenizers do it (`truncation="longest_first"`).
    """
    max_length -= around.ends
    if not around.pairs:
        start, end = offsets[:-1], offsets[1:]
        kept = np.minimum(end - start, max_length)
        first = head(keep, kept)
        return Cut(start, first, end - (kept - first), kept)
    start, second, end = offsets[:-1:2], offsets[1::2], offsets[2::2]
    between = len(around.between)
    first, other = second - start, end - second - between
    room = max_length - between
    short = np.minimum(np.minimum(first, other), room // 2)
    long = np.minimum(np.maximum(first, other), room - short)
    first = np.where(first <= other, short, long)
    return Cut(start, first, second, short + long + between)


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
