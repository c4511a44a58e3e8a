"""Word n-grams as ids, hashed on the device ("the hashing trick", Weinberger et al. 2009)."""

from typing import Any

import jax
import jax.numpy as jnp

# The multipliers of murmur3's 32-bit finaliser, and one that chains words.
_MIX_1, _MIX_2, _CHAIN = 0x85EBCA6B, 0xC2B2AE35, 0x9E3779B1


def distinct_ngrams(
    tokens: jax.Array, mask: jax.Array, n: int, buckets: int, presence: jax.Array | None = None
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """The set of 1-grams to n-grams of each row, each hashed to an id below `buckets`.

    The same tokens in the same order make the same n-gram, everywhere and always. N-grams that fall
    into one bucket are one feature.

    Args:
        tokens: `[batch, length]` ids.
        mask: `[batch, length]` bool, True where there is a token; padding is at the end.
        presence: `[batch, length]` float32, how much of each token is there; an n-gram is there by
            the mean of its tokens.

    Returns:
        ids int32 `[batch, features]`, rising along a row; which of them count, bool (the first of
        equal ones, none of padding); and their presence, float32, or None.
    """
    words = _mix(tokens.astype(jnp.uint32) + jnp.uint32(1))
    grams, real = words, mask
    whole: Any = presence
    ids, shares = [], []
    for order in range(1, n + 1):
        if order > 1:
            grams = grams[:, :-1] * jnp.uint32(_CHAIN) + words[:, order - 1 :]
            real = real[:, :-1] & mask[:, order - 1 :]
            whole = None if presence is None else whole[:, :-1] + presence[:, order - 1 :]
        hashed = (_mix(grams) % jnp.uint32(buckets)).astype(jnp.int32)
        ids.append(jnp.where(real, hashed, buckets))  # padding is sorted to the end
        shares.append(None if presence is None else whole / order)
    found = jnp.concatenate(ids, axis=1)
    if presence is None:
        found, share = jnp.sort(found, axis=1), None
    else:
        found, share = jax.lax.sort((found, jnp.concatenate(shares, axis=1)), num_keys=1)
    before = jnp.pad(found[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
    counts = (found != before) & (found < buckets)
    return jnp.where(counts, found, 0), counts, share


def _mix(x: jax.Array) -> jax.Array:
    """murmur3's finaliser: every bit of the input reaches every bit of the output (uint32)."""
    x = (x ^ (x >> 16)) * jnp.uint32(_MIX_1)
    x = (x ^ (x >> 13)) * jnp.uint32(_MIX_2)
    return x ^ (x >> 16)
