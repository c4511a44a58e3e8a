"""Span corruption (Raffel et al. 2020, T5): pieces of a text are cut out, and are to be written."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax.errors import UserError
from bigmodel_jax.steps import Batch, Variables
from bigmodel_jax.tasks import seq2seq

START = 0  # before the first token of a target, as in data/pairs.py


class Task(seq2seq.Task):
    """For encoder-decoders, on running text (data/tokens.py, with shift=False).

    A batch has "tokens" and "segments" [batch, length] int32 and "index" [batch] int32, the number of a
    row in its split. A row is one text to the model, whatever documents it is of. Of its tokens a share
    `rate` is cut out, in spans of a mean length of `span`: in the source a sentinel is in place of each,
    the target is each sentinel and what was cut out there. Sentinels have the highest ids, downwards.
    Which spans, is drawn anew at each step; evaluation draws by the row's index, the same every time.

    Args:
        end_id: stands at the end of source and target; None takes the data's separator.
        rate: the share that is cut out.
        span: tokens of a span, on average.
        first_sentinel: its id; None is the last of the model's vocabulary, which must then have room
            for them above the data's.
        chunk: as of seq2seq.
    """

    evaluator, applied = "language", None

    def __init__(
        self,
        model: Any,
        end_id: int | None = None,
        rate: float = 0.15,
        span: float = 3.0,
        first_sentinel: int | None = None,
        chunk: int = 0,
    ):
        super().__init__(model, chunk=chunk)
        if end_id is None:
            raise UserError(
                "config.task.end_id is not set, and the data's tokenizer has no separator: name the id "
                "that shall end a text."
            )
        if not 0 < rate < 1:
            raise UserError(f"config.task.rate is {rate}: a share of the tokens, between 0 and 1.")
        if span < 1:
            raise UserError(f"config.task.span is {span}: tokens on average, 1 or more.")
        self.end_id, self.rate, self.span = end_id, rate, span
        self._given = first_sentinel
        self._sentinel = model.vocabulary_size - 1 if first_sentinel is None else first_sentinel

    def check(self, source: Any) -> None:
        """Raises a UserError where sentinels would be tokens of the text, or the batches are others."""
        needed = int(self.counts(source.length)[-1, 1])
        size = source.info["vocabulary_size"]
        if "targets" in source.peek():
            raise UserError("config.data.shift must be False for the task span_corruption.")
        if self._given is None and self.model.vocabulary_size < size + needed:
            raise UserError(
                f"config.model.vocabulary_size is {self.model.vocabulary_size}, but the {needed} sentinels "
                f"of a row stand above the data's {size:,} tokens: make it {size + needed:,} or more."
            )

    def init(self, rng, batch):
        return super().init(
            rng, self._corrupted(batch, jax.random.split(rng, len(batch["tokens"])))
        )

    def loss(self, variables, batch, rng, *, train):
        spans, dropout = self._keys(batch, rng, train)
        return super().loss(variables, self._corrupted(batch, spans), dropout, train=train)

    def predict(self, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
        """{"nats": [batch, length] float32} of the target's tokens."""
        return super().predict(variables, self._corrupted(batch, self._keys(batch, None, False)[0]))

    def counts(self, length: int) -> np.ndarray:
        """(tokens that are cut out, spans) of texts of 0 to `length` tokens, int32 [length + 1, 2]."""
        found = np.zeros((length + 1, 2), np.int32)
        for n in range(2, length + 1):
            noise = min(max(round(n * self.rate), 1), n - 1)
            found[n] = noise, min(max(round(noise / self.span), 1), noise, n - noise)
        return found

    def corrupt(
        self, key: jax.Array, tokens: jax.Array, count: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        """((source, its length), (target, its length)) of one text.

        Args:
            tokens: [length] int32, of which `count` are real.

        Returns:
            Ids int32, as many as the longest text has, padded with 0, and int32 [].
        """
        length = tokens.shape[0]
        table = self.counts(length)
        most, parts = (int(x) for x in table[-1])
        noise, spans = jnp.asarray(table)[count]
        one, other = jax.random.split(key)
        kept = _lengths(one, count - noise, spans, length, parts)
        taken = _lengths(other, noise, spans, length, parts)
        # A text begins with what is kept, and ends with what is cut out.
        ends = jnp.cumsum(jnp.stack([kept, taken], 1).reshape(-1))
        place = jnp.arange(length)
        part = jnp.searchsorted(ends, place, side="right")
        real, number = place < count, part // 2
        cut = real & (part % 2 == 1)
        begins = cut & ~jnp.pad(cut, (1, 0))[:-1]
        sentinel = self._sentinel - number

        read = real & (~cut | begins)
        size = jnp.cumsum(read) - 1
        source = jnp.zeros(length - most + parts + 1, jnp.int32)
        source = source.at[_where(read, size)].set(jnp.where(begins, sentinel, tokens), mode="drop")
        source_length = count - noise + spans
        source = source.at[source_length].set(self.end_id)

        at = jnp.cumsum(cut) + number  # a sentinel before each span
        target = jnp.zeros(most + parts + 1, jnp.int32)
        target = target.at[_where(cut, at)].set(tokens, mode="drop")
        target = target.at[_where(begins, at - 1)].set(sentinel, mode="drop")
        target = target.at[noise + spans].set(self.end_id)
        return (source, source_length + 1), (target, noise + spans + 1)

    def _corrupted(self, batch, keys) -> Batch:
        """The batch that seq2seq learns from."""
        count = (batch["segments"] > 0).sum(1)
        (source, read), (target, written) = jax.vmap(self.corrupt)(keys, batch["tokens"], count)
        order, place = jnp.arange(source.shape[1]), jnp.arange(target.shape[1])
        real = place < written[:, None]
        return {
            "source": source,
            "source_segments": (order < read[:, None]).astype(jnp.int32),
            "source_positions": jnp.broadcast_to(order, source.shape),
            "tokens": jnp.pad(target, ((0, 0), (1, 0)), constant_values=START)[:, :-1],
            "targets": target,
            "segments": real.astype(jnp.int32),
            "positions": jnp.broadcast_to(place, target.shape),
            "mask": real & (count > 1)[:, None],  # of a single token nothing can be cut out
        }

    def _keys(self, batch, rng, train) -> tuple[jax.Array, Any]:
        """(a key for each row, the key of dropout)."""
        if train:
            spans, dropout = jax.random.split(rng)
            return jax.random.split(spans, len(batch["tokens"])), dropout
        return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(batch["index"]), None


def _lengths(key, total, parts, most: int, most_parts: int) -> jax.Array:
    """`total` cut into `parts` lengths of 1 or more, all ways alike: int32 [most_parts], 0 behind them."""
    place = jnp.arange(most)
    luck = jnp.where(place < total - 1, jax.random.uniform(key, (most,)), jnp.inf)
    cut_behind = jnp.argsort(jnp.argsort(luck)) < parts - 1
    part = jnp.pad(jnp.cumsum(cut_behind), (1, 0))[:-1]
    return jnp.zeros(most_parts, jnp.int32).at[part].add((place < total).astype(jnp.int32))


def _where(chosen, place):
    """Places to write to; what is not chosen goes beyond the end, and is dropped."""
    return jnp.where(chosen, place, np.iinfo(np.int32).max)
