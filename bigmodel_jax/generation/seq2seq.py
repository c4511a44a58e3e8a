"""Answers to sources by an encoder-decoder: encoded once, then written token by token over a cache.

A model that answers has `encode(source, mask) -> memory`, `init_cache(rows, length, source_length)`,
whose part "own" is of what is written and whose part "cross" of the source, and the method
`decode(tokens, positions, cache, memory=None, mask=None) -> (logits, cache)`; see models/t5.py. All
of a batch is one program, compiled once a shape, which ends when its last row does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.generation import beam
from bigmodel_jax.generation.sampling import Sampling, draw

GREEDY = Sampling(temperature=0.0)


class Generator:
    """Writes targets with a model.

    Args:
        model: see the module's docstring.
        variables: of the model, on the mesh.
        mesh: where to run; rows are split over (data, fsdp).
        start: the id before the first token of a target.
        ends: ids after which a row has ended.
        known: ids that the tokenizer has; a model may have more, which are never drawn.
    """

    def __init__(
        self,
        model: Any,
        variables: Mapping,
        mesh: jax.sharding.Mesh,
        *,
        start: int = 0,
        ends: Sequence[int] = (),
        known: int | None = None,
    ):
        self._model, self._mesh, self._start, self._ends = model, mesh, start, tuple(ends)
        self.use(variables)
        self._size = known or model.vocabulary_size
        self._rows = mesh.shape["data"] * mesh.shape["fsdp"]
        self._write = jax.jit(self._write_all, static_argnames=("max_tokens", "sampling"))
        options = ("max_tokens", "beams", "length_penalty", "exact")
        self._search = jax.jit(self._search_all, static_argnames=options)

    def use(self, variables: Mapping) -> None:
        """Takes other variables of the same model, for which nothing is compiled anew."""
        self._params = {k: v for k, v in variables.items() if k != "ema"}

    def write(
        self,
        sources: Sequence[Sequence[int]],
        max_tokens: int,
        sampling: Sampling = GREEDY,
        seed: int = 0,
    ) -> list[list[int]]:
        """The target of each source, drawn token by token, the ending one included.

        A row's tokens depend on its source, its place and the seed, and not on other rows.

        Raises:
            UserError: a source is empty or holds an unknown id.
        """
        source, mask = self._padded(sources)
        keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))
        given = sharding.put((source, mask), self._mesh)
        options: dict[str, Any] = {"max_tokens": max_tokens, "sampling": sampling.check()}
        tokens, count = self._write(self._params, *given, keys(jnp.arange(len(source))), **options)
        return _lists(tokens, count, len(sources))

    def search(
        self,
        sources: Sequence[Sequence[int]],
        max_tokens: int,
        beams: int,
        length_penalty: float = 1.0,
        exact: bool = False,
    ) -> list[list[int]]:
        """The likeliest target of each source that a beam search finds (beam.py).

        Raises:
            UserError: as `write`.
        """
        given = sharding.put(self._padded(sources), self._mesh)
        options: dict[str, Any] = {"max_tokens": max_tokens, "beams": beams, "exact": exact}
        found = self._search(self._params, *given, length_penalty=length_penalty, **options)
        return _lists(found.tokens[:, 0], found.lengths[:, 0], len(sources))

    def _padded(self, sources):
        """Ids int32 and mask, `[rows, length]`: of few shapes, for each is compiled."""
        for i, source in enumerate(sources):
            where = f"Source {i + 1} of {len(sources)}"
            if not len(source):
                raise UserError(f"{where} is empty: it has one token at least.")
            if wrong := [x for x in source if not 0 <= x < self._size]:
                raise UserError(
                    f"{where} holds the token {wrong[0]}, but the model knows {self._size:,}: is this "
                    "the tokenizer that it was trained with?"
                )
        rows = 1 << (len(sources) - 1).bit_length()
        rows = -(-rows // self._rows) * self._rows
        tokens = np.zeros((rows, padded_length(max(map(len, sources)))), np.int32)
        count = np.zeros((rows, 1), np.int32)
        for i, source in enumerate(sources):
            tokens[i, : len(source)], count[i] = source, len(source)
        return tokens, np.arange(tokens.shape[1]) < count

    def _begin(self, params, source, mask, max_tokens):
        """(logits of the first token, the cache) of sources."""
        rows, length = source.shape
        memory = self._model.apply(params, source, mask, method="encode")
        cache = self._model.init_cache(rows, max_tokens, length)
        ids = jnp.full((rows, 1), self._start, jnp.int32)
        return self._decode(params, ids, jnp.zeros_like(ids), cache, memory, mask)

    def _decode(self, params, *inputs):
        logits, cache = self._model.apply(params, *inputs, method="decode")
        there = jnp.arange(logits.shape[-1]) < self._size
        return jnp.where(there, logits, -jnp.inf), cache

    def _ended(self, ids):
        return jnp.isin(ids, jnp.asarray(self._ends, jnp.int32)) if self._ends else ids < 0

    def _write_all(self, params, source, mask, keys, *, max_tokens, sampling):
        """(tokens [rows, max_tokens], how many each row has [rows]), int32."""
        logits, cache = self._begin(params, source, mask, max_tokens)
        rows, cross = jnp.arange(len(source)), cache["cross"]

        def one(carry):
            step, tokens, count, done, seen, logits, own = carry
            ids = draw(logits, seen, jax.vmap(jax.random.fold_in, (0, None))(keys, step), sampling)
            tokens = tokens.at[:, step].set(jnp.where(done, 0, ids))
            count += (~done).astype(jnp.int32)
            done |= self._ended(ids)
            place = jnp.full((len(ids), 1), step + 1)
            given = {"own": own, "cross": cross}
            logits, cache = self._decode(params, ids[:, None], place, given)
            seen = seen.at[rows, ids].set(True)
            return step + 1, tokens, count, done, seen, logits[:, 0], cache["own"]

        def go_on(carry):
            step, _, _, done, *_ = carry
            return (step < max_tokens) & ~done.all()

        start = (
            jnp.zeros((), jnp.int32),
            jnp.zeros((len(source), max_tokens), jnp.int32),
            jnp.zeros(len(source), jnp.int32),
            ~mask.any(-1),  # rows of padding
            jnp.zeros((len(source), logits.shape[-1]), bool),
            logits[:, 0],
            cache["own"],
        )
        _, tokens, count, *_ = jax.lax.while_loop(go_on, one, start)
        return tokens, count

    def _search_all(self, params, source, mask, *, max_tokens, beams, length_penalty, exact):
        logits, cache = self._begin(params, source, mask, max_tokens)
        cross = cache["cross"]  # that beams share, and no step moves

        def next_logits(ids, positions, own):
            given = {"own": own, "cross": cross}
            logits, cache = self._decode(params, ids, positions, given)
            return logits, cache["own"]

        return beam.search(
            next_logits,
            logits[:, 0],
            jnp.ones(len(source), jnp.int32),
            cache["own"],
            beams=beams,
            max_tokens=max_tokens,
            ends=self._ends,
            length_penalty=length_penalty,
            cache_axis=self._model.cache_axis,
            exact=exact,
        )


def padded_length(length: int) -> int:
    """The next of 16, 32, 64, ...: to compile another shape takes longer than to read padding."""
    return max(16, 1 << (length - 1).bit_length())


def _lists(tokens, count, rows) -> list[list[int]]:
    pairs = zip(np.asarray(tokens)[:rows], np.asarray(count)[:rows], strict=True)
    return [ids[:length].tolist() for ids, length in pairs]
