"""Writing on from prompts: one prefill, then tokens one by one over a cache, jitted once a shape.

A model that can be written with has `init_cache(batch, length)` and the method
`decode(tokens [rows, n], positions [rows, n], cache, last=None) -> (logits, cache)`, which writes
what it computes of a token into the cache slot of the token's position and sees the slots up to it.
So prompts of different lengths share a batch, padded on the right: what the padding writes lies
behind everything that a row sees, until real tokens take its place.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.generation import beam
from bigmodel_jax.generation.sampling import Sampling, draw

AT_ONCE = 16  # tokens a dispatch: the host looks at the text as often


@flax.struct.dataclass
class State:
    """Texts in the making.

    Attributes:
        cache: keys and values of all layers.
        logits: of each row's next token, `[rows, vocabulary]` float32.
        count: tokens that a row has, `[rows]` int32; the next one's position.
        seen: `[rows, vocabulary]` bool, the token is in the row's text.
        done: `[rows]` bool, the row has ended.
        keys: the row's random key, `[rows]`.
        drawn: tokens drawn since the first prompt, int32 [].
    """

    cache: Any
    logits: jax.Array
    count: jax.Array
    seen: jax.Array
    done: jax.Array
    keys: jax.Array
    drawn: jax.Array


class Decoder:
    """Writes with a model.

    Args:
        model: see the module's docstring; its max_length, if any, is the longest text.
        variables: of the model, on the mesh.
        mesh: where to run; rows are split over (data, fsdp).
        sampling: how tokens are drawn.
        ends: ids after which a row has ended.
        context: cache slots a row; by default the model's max_length.
        known: ids that the tokenizer has; a model may have more, which are never drawn.
    """

    def __init__(
        self,
        model: Any,
        variables: Mapping,
        mesh: jax.sharding.Mesh,
        sampling: Sampling,
        ends: Sequence[int] = (),
        context: int | None = None,
        known: int | None = None,
    ):
        self.context: int = context or model.max_length
        self._model, self._mesh, self._sampling = model, mesh, sampling.check()
        self._params = {k: v for k, v in variables.items() if k != "ema"}
        self._ends, self._size = tuple(ends), known or model.vocabulary_size
        self._rows = mesh.shape["data"] * mesh.shape["fsdp"]
        self._prefill = jax.jit(self._prefill_all)
        self._advance = jax.jit(self._draw_some, static_argnames="count", donate_argnames="state")

    def write(
        self, prompts: Sequence[Sequence[int]], max_tokens: int, seed: int = 0
    ) -> Iterator[list[list[int]]]:
        """Yields the new tokens of each prompt, some at a time, the ending one included.

        Where a text has filled the context, all go on from the last half of it. Until then a row's
        tokens depend on its prompt, its place and the seed, and not on other rows.

        Raises:
            UserError: a prompt is empty, longer than the context, or holds an unknown id.
        """
        self._check(prompts)
        texts = [list(prompt) for prompt in prompts]
        alive = [True] * len(texts)
        keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))
        state = self._start(texts, keys(jnp.arange(self._padded(len(texts)))), 0)
        left = max_tokens
        while left > 0 and any(alive):
            room = self.context - max(map(len, texts))
            if room < 1:
                half = [text[-max(1, self.context // 2) :] for text in texts]
                done = np.ones(self._padded(len(texts)), bool)
                done[: len(alive)] = ~np.array(alive)
                state = self._start(half, state.keys, max_tokens - left, done)
                texts = half
                continue
            count = min(AT_ONCE, room)
            ids, state = self._advance(self._params, state, count=count)
            new = []
            for i, row in enumerate(np.asarray(ids)[: len(texts), :left].tolist()):
                if alive[i]:
                    end = next((n for n, x in enumerate(row) if x in self._ends), None)
                    row, alive[i] = (row, True) if end is None else (row[: end + 1], False)
                else:
                    row = []
                texts[i] += row
                new.append(row)
            left -= count
            yield new

    def search(
        self,
        prompts: Sequence[Sequence[int]],
        max_tokens: int,
        beams: int,
        length_penalty: float = 1.0,
    ) -> list[list[int]]:
        """The likeliest new tokens of each prompt that a beam search finds (beam.py).

        Raises:
            UserError: as `write`; or a prompt and the new tokens are longer than the context.
        """
        self._check(prompts)
        if (longest := max(map(len, prompts)) + max_tokens) > self.context:
            raise UserError(
                f"A prompt and {max_tokens} new tokens are {longest:,}, and the model's context is "
                f"{self.context:,}: a search goes no further; ask for fewer."
            )
        keys = jax.random.split(jax.random.key(0), self._padded(len(prompts)))
        state = self._start(prompts, keys, 0)

        @jax.jit
        def search(params, state: State):
            def next_logits(ids, positions, cache):
                return self._decode(params, ids, positions, cache)

            return beam.search(
                next_logits,
                state.logits,
                state.count,
                state.cache,
                beams=beams,
                max_tokens=max_tokens,
                ends=self._ends,
                length_penalty=length_penalty,
                cache_axis=self._model.cache_axis,
            )

        found = jax.device_get(search(self._params, state))
        pairs = zip(found.tokens[:, 0], found.lengths[:, 0], strict=True)
        return [ids[:length].tolist() for ids, length in pairs][: len(prompts)]

    def _check(self, prompts):
        size = self._size
        for i, prompt in enumerate(prompts):
            where = f"Prompt {i + 1} of {len(prompts)}"
            if not len(prompt):
                raise UserError(f"{where} is empty: a model writes on from one token at least.")
            if len(prompt) > self.context:
                raise UserError(
                    f"{where} has {len(prompt):,} tokens, and the model's context is "
                    f"{self.context:,}: shorten it."
                )
            wrong = [x for x in prompt if not 0 <= x < size]
            if wrong:
                raise UserError(
                    f"{where} holds the token {wrong[0]}, but the model knows {size:,}: is this the "
                    "tokenizer that it was trained with?"
                )

    def _padded(self, rows):
        return -(-rows // self._rows) * self._rows

    def _start(self, texts, keys, drawn, done=None):
        rows = self._padded(len(texts))
        longest = max(map(len, texts))
        length = min(self.context, 1 << (longest - 1).bit_length())  # few shapes are compiled
        tokens, count = np.zeros((rows, length), np.int32), np.ones(rows, np.int32)
        for i, text in enumerate(texts):
            tokens[i, : len(text)], count[i] = text, len(text)
        if done is None:
            done = np.arange(rows) >= len(texts)
        given = sharding.put((tokens, count, done), self._mesh)
        return self._prefill(self._params, *given, keys, np.int32(drawn))

    def _prefill_all(self, params, tokens, count, done, keys, drawn) -> State:
        rows, length = tokens.shape
        order = jnp.broadcast_to(jnp.arange(length, dtype=jnp.int32), tokens.shape)
        cache = self._model.init_cache(rows, self.context)
        logits, cache = self._decode(params, tokens, order, cache, count - 1)
        seen = jnp.zeros((rows, self._model.vocabulary_size), bool)
        seen = seen.at[jnp.arange(rows)[:, None], tokens].max(order < count[:, None])
        return State(cache, logits[:, 0], count, seen, done, keys, drawn)

    def _decode(self, params, tokens, positions, cache, last=None):
        logits, cache = self._model.apply(params, tokens, positions, cache, last, method="decode")
        there = jnp.arange(logits.shape[-1]) < self._size
        return jnp.where(there, logits, -jnp.inf), cache

    def _draw_some(self, params, state: State, count: int):
        def one(state, _):
            keys = jax.vmap(jax.random.fold_in, (0, None))(state.keys, state.drawn)
            ids = draw(state.logits, state.seen, keys, self._sampling)
            done = state.done
            for end in self._ends:
                done |= ids == end
            logits, cache = self._decode(params, ids[:, None], state.count[:, None], state.cache)
            rows = jnp.arange(len(ids))
            state = State(
                cache=cache,
                logits=logits[:, 0],
                # A row that ended stays where it is: it must not run out of its context.
                count=state.count + ~done,
                seen=state.seen.at[rows, ids].set(True),
                done=done,
                keys=state.keys,
                drawn=state.drawn + 1,
            )
            return state, ids

        state, ids = jax.lax.scan(one, state, None, length=count)
        return ids.T, state
