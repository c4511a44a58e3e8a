"""Transforms of training texts: how much they change, and what they must leave alone."""

from types import SimpleNamespace

import numpy as np
import pytest

from bigmodel_jax.config import build
from bigmodel_jax.errors import UserError

TOKENIZER = SimpleNamespace(separator=2, mask=3)
TOKENS = np.random.default_rng(0).integers(4, 100, 10_000).astype(np.int32)


def transform(name, tokenizer=TOKENIZER, **options):
    return build("data.transforms", dict(name=name, **options), tokenizer=tokenizer)


def apply(name, tokens, seed=0, **options):
    before = tokens.copy()
    found = transform(name, **options)(tokens, np.random.default_rng(seed))
    np.testing.assert_array_equal(tokens, before)  # the given array is not changed
    assert found.dtype == np.int32 and 1 <= len(found) <= len(tokens)
    return found


def test_word_dropout_leaves_out_its_rate_and_keeps_the_order():
    kept = apply("word_dropout", TOKENS, rate=0.2)
    assert len(kept) == pytest.approx(8000, abs=150)
    remaining = iter(TOKENS.tolist())
    assert all(token in remaining for token in kept.tolist())


def test_word_dropout_leaves_at_least_one_token_whichever():
    tokens = np.array([5, 6, 7], np.int32)
    found = [apply("word_dropout", tokens, seed, rate=0.99) for seed in range(50)]
    assert {len(x) for x in found} == {1} and {int(x[0]) for x in found} == {5, 6, 7}


def test_swap_exchanges_neighbours_and_moves_no_token_twice():
    tokens = np.arange(10_000, dtype=np.int32)
    moved = apply("swap", tokens, rate=0.3) - tokens
    assert set(moved.tolist()) == {-1, 0, 1} and moved.sum() == 0
    assert (moved[np.flatnonzero(moved == 1) + 1] == -1).all()
    # Of a run of n chosen pairs (n + 1) // 2 are exchanged: rate / (1 + rate) of all on average.
    assert (moved == 1).mean() == pytest.approx(0.3 / 1.3, abs=0.01)


def test_mask_tokens_hides_its_rate():
    found = apply("mask_tokens", TOKENS, rate=0.15)
    assert (found == 3).mean() == pytest.approx(0.15, abs=0.01)
    np.testing.assert_array_equal(found[found != 3], TOKENS[found != 3])


@pytest.mark.parametrize("name", ["word_dropout", "swap", "mask_tokens"])
def test_what_stands_between_two_texts_stays_there(name):
    tokens = np.where(np.arange(2000) == 900, 2, TOKENS[:2000]).astype(np.int32)
    found = apply(name, tokens, rate=0.9)
    place = np.flatnonzero(found == 2)
    assert len(place) == 1 and (name == "word_dropout" or place == 900)


@pytest.mark.parametrize("name", ["word_dropout", "swap", "mask_tokens"])
def test_the_same_generator_gives_the_same_text_and_a_text_of_one_token_is_fine(name):
    np.testing.assert_array_equal(apply(name, TOKENS, 1), apply(name, TOKENS, 1))
    assert not np.array_equal(apply(name, TOKENS, 1), apply(name, TOKENS, 2))
    assert apply(name, TOKENS[:1]).shape == (1,)


def test_a_rate_of_zero_changes_nothing():
    for name in ("word_dropout", "swap", "mask_tokens"):
        np.testing.assert_array_equal(apply(name, TOKENS, rate=0.0), TOKENS)


def test_a_tokenizer_without_a_mask_and_an_impossible_rate_are_refused():
    with pytest.raises(UserError, match="has no mask"):
        transform("mask_tokens", SimpleNamespace(separator=2, mask=None))
    with pytest.raises(UserError, match="from 0 up to below 1"):
        transform("word_dropout", rate=1.0)
