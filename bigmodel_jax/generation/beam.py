"""Beam search: the likeliest texts among those that a few best beginnings lead to."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

NEVER = -1e9  # a score that no text has; -inf would make NaN of differences

Cache = Any
NextLogits = Callable[[jax.Array, jax.Array, Cache], tuple[jax.Array, Cache]]


class Beams(NamedTuple):
    """What was found, the best first.

    Attributes:
        tokens: `[rows, beams, max_tokens]` int32, with `padding` behind the end.
        lengths: `[rows, beams]` int32, tokens of each, the ending one included.
        scores: `[rows, beams]` float32, the sum of log-probabilities over length**length_penalty.
    """

    tokens: jax.Array
    lengths: jax.Array
    scores: jax.Array


class _Search(NamedTuple):
    step: jax.Array  # int32 []
    open: jax.Array  # [rows] bool, of rows that may find better yet
    tokens: jax.Array  # [rows, beams, max_tokens], of the beams that go on
    sums: jax.Array  # [rows, beams], their log-probabilities
    logits: jax.Array  # [rows, beams, vocabulary], of their next tokens
    cache: Cache  # leaves [rows * beams, ...] on the axis given
    found: Beams  # the best that have ended


def search(
    next_logits: NextLogits,
    logits: jax.Array,
    positions: jax.Array,
    cache: Cache,
    *,
    beams: int,
    max_tokens: int,
    ends: Sequence[int],
    length_penalty: float = 1.0,
    padding: int = 0,
    cache_axis: int = 0,
    exact: bool = True,
) -> Beams:
    """Keeps the `beams` likeliest beginnings, step by step; pure, to be jitted.

    As in Hugging Face, with early_stopping="never" (Wu et al. 2016 normalise by another formula): at
    each step the 2 * beams best continuations are looked at; those that end are candidates for the
    result, the others are the beams of the next step. Texts that have not ended after `max_tokens`
    are candidates, too. It ends when no row can find better.

    Args:
        next_logits: `(ids [rows * beams, 1], positions [rows * beams, 1], cache) -> (logits [rows *
            beams, 1, vocabulary], cache)`.
        logits: `[rows, vocabulary]` of the token after each prompt.
        positions: `[rows]` int32, of that token.
        cache: of the prompts, leaves with an axis of `rows`.
        ends: ids that end a text.
        length_penalty: above 0 favours longer texts.
        cache_axis: where in the cache's leaves the rows are.
        exact: a row can find better as long as a beam's score at its best, which above a penalty of 0
            is at `max_tokens`, would be among the best; else as long as it is at its present length:
            Hugging Face's early_stopping=False, which ends much sooner and may miss a longer text.
    """
    rows, vocabulary = logits.shape
    wide = jax.tree.map(lambda x: jnp.repeat(x, beams, cache_axis), cache)
    nothing = jnp.full((rows, beams, max_tokens), padding, jnp.int32)
    first = jnp.where(jnp.arange(beams) == 0, 0.0, NEVER)  # else all beams would be the same
    found = Beams(
        nothing, jnp.zeros((rows, beams), jnp.int32), jnp.full((rows, beams), NEVER, jnp.float32)
    )
    start = _Search(
        jnp.zeros((), jnp.int32),
        jnp.ones(rows, bool),
        nothing,
        jnp.broadcast_to(first, (rows, beams)).astype(jnp.float32),
        jnp.broadcast_to(logits[:, None], (rows, beams, vocabulary)).astype(jnp.float32),
        wide,
        found,
    )

    def normal(sums, length):
        return sums / jnp.asarray(length, jnp.float32) ** length_penalty

    def advance(state: _Search):
        step = state.step
        scores = state.sums[..., None] + jax.nn.log_softmax(state.logits)
        sums, place = jax.lax.top_k(scores.reshape(rows, -1), 2 * beams)
        beam, ids = place // vocabulary, (place % vocabulary).astype(jnp.int32)
        tokens = jnp.take_along_axis(state.tokens, beam[..., None], 1).at[:, :, step].set(ids)
        ended = jnp.isin(ids, jnp.asarray(list(ends), jnp.int32)) if ends else ids < 0
        last = step == max_tokens - 1

        # Candidates as in the reference: of those that end, only such as are among the best beams.
        rank = jnp.arange(2 * beams)
        enough = jnp.where(ended | last, normal(sums, step + 1), NEVER)
        enough = jnp.where((rank < beams) & state.open[:, None], enough, NEVER)
        lengths = jnp.full((rows, 2 * beams), 1, jnp.int32) * (step + 1)
        found = _best(state.found, Beams(tokens, lengths, enough), beams)

        alive, kept = jax.lax.top_k(jnp.where(ended, NEVER, sums), beams)
        tokens, ids, beam = (
            jnp.take_along_axis(x, kept.reshape(kept.shape + (1,) * (x.ndim - 2)), 1)
            for x in (tokens, ids, beam)
        )
        origin = (jnp.arange(rows)[:, None] * beams + beam).reshape(-1)
        cache = jax.tree.map(lambda x: jnp.take(x, origin, cache_axis), state.cache)
        place = jnp.repeat(positions + step, beams)[:, None]
        logits, cache = next_logits(ids.reshape(-1, 1), place, cache)
        logits = logits.reshape(rows, beams, vocabulary).astype(jnp.float32)
        longest = max_tokens if exact and length_penalty > 0 else step + 1
        better = normal(alive[:, 0], longest) > found.scores[:, -1]
        return _Search(step + 1, state.open & better, tokens, alive, logits, cache, found)

    def go_on(state: _Search):
        return (state.step < max_tokens) & state.open.any()

    return jax.lax.while_loop(go_on, advance, start).found


def _best(old: Beams, new: Beams, beams: int) -> Beams:
    """The best of both, in order."""
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), old, new)
    scores, place = jax.lax.top_k(both.scores, beams)
    tokens = jnp.take_along_axis(both.tokens, place[..., None], 1)
    return Beams(tokens, jnp.take_along_axis(both.lengths, place, 1), scores)
