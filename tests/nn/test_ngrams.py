"""Hashed n-grams against a loop, and the ids that checkpoints rely on."""

import jax
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.nn.ngrams import distinct_ngrams
from tests.ngrams_by_loop import final_mix, hashed, ngrams

BATCH, LENGTH, VOCABULARY = 8, 9, 12
LENGTHS = np.array([9, 0, 1, 2, 5, 9, 7, 3])
MASK = np.arange(LENGTH) < LENGTHS[:, None]
TOKENS = np.where(MASK, np.random.default_rng(0).integers(0, VOCABULARY, MASK.shape), 0)
PRESENCE = np.random.default_rng(1).random(MASK.shape).astype(np.float32)


def sets(ids, counts):
    """The ids of each row that count, and that none of them counts twice."""
    pairs = zip(np.asarray(ids), np.asarray(counts), strict=True)
    rows = [row[real].tolist() for row, real in pairs]
    assert all(len(row) == len(set(row)) for row in rows)
    return [set(row) for row in rows]


def test_the_hash_of_the_tests_has_the_published_values_of_murmur3():
    """MurmurHash3_x86_32 of no bytes is the finaliser of its seed."""
    assert [final_mix(seed) for seed in (0, 1, 2**32 - 1)] == [0, 0x514E28B7, 0x81F16F39]


@pytest.mark.parametrize("buckets", [5, 1000, 2**20, 2**31 - 1])
@pytest.mark.parametrize("n", [1, 2, 3, 12])
def test_a_text_is_the_set_of_its_ngrams(n, buckets):
    ids, counts, share = distinct_ngrams(TOKENS, MASK, n, buckets)
    assert ids.dtype == np.int32 and share is None
    want = [set(ngrams(row[:m], n, buckets)) for row, m in zip(TOKENS, LENGTHS, strict=True)]
    assert sets(ids, counts) == want
    assert ids.min() >= 0 and ids.max() < buckets


def test_the_ids_of_a_checkpoint_never_change():
    """A change here makes every saved bag of n-grams useless."""
    tokens, mask = np.array([[7, 4, 59_999]]), np.ones((1, 3), bool)
    ids, counts, _ = distinct_ngrams(tokens, mask, 3, 2**23)
    assert ids[counts].tolist() == [291462, 867056, 1590926, 2877261, 3144189, 5395191]


def test_ids_do_not_depend_on_the_type_of_the_tokens():
    want, *_ = distinct_ngrams(TOKENS.astype(np.int32), MASK, 2, 1000)
    for dtype in (np.uint8, np.uint16, np.int16, np.uint32):
        got, *_ = distinct_ngrams(TOKENS.astype(dtype), MASK, 2, 1000)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("presence", [None, PRESENCE])
def test_what_padding_holds_and_how_much_of_it_there_is_do_not_matter(presence):
    def wide(x, value):
        return None if x is None else np.pad(x, ((0, 0), (0, 4)), constant_values=value)

    def found(tokens, mask, presence):
        ids, counts, share = distinct_ngrams(tokens, mask, 3, 1000, presence)
        shares = np.zeros(ids.shape) if share is None else np.asarray(share)
        rows = zip(np.asarray(ids), np.asarray(counts), shares, strict=True)
        return [list(zip(i[c].tolist(), s[c].tolist(), strict=True)) for i, c, s in rows]

    want = found(TOKENS, MASK, presence)
    assert found(np.where(MASK, TOKENS, 11), MASK, presence) == want
    assert found(wide(TOKENS, 5), wide(MASK, False), wide(presence, np.nan)) == want


def test_an_ngram_is_there_by_the_mean_of_its_first_tokens():
    ids, counts, share = distinct_ngrams(TOKENS, MASK, 3, 2**20, PRESENCE)
    plain = distinct_ngrams(TOKENS, MASK, 3, 2**20)
    np.testing.assert_array_equal(ids, plain[0])
    np.testing.assert_array_equal(counts, plain[1])
    for row, there, m, *got in zip(TOKENS, PRESENCE, LENGTHS, ids, counts, share, strict=True):
        i, c, s = (np.asarray(x) for x in got)
        found = ngrams(row[:m], 3, 2**20)
        want = [there[list(found[i][0])].mean() for i in i[c].tolist()]
        np.testing.assert_allclose(s[c], want, rtol=1e-6)


def test_presence_of_one_everywhere_is_exactly_one():
    _, counts, share = distinct_ngrams(TOKENS, MASK, 3, 1000, np.ones_like(PRESENCE))
    assert share is not None and (share[counts] == 1).all()


def test_hashes_spread_evenly_over_the_buckets():
    """Of 2**16 bigrams of neighbouring ids, as of random numbers, (1 - 1/e) of the buckets."""
    pairs = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).reshape(-1, 2)
    ids, counts, _ = distinct_ngrams(pairs, np.ones(pairs.shape, bool), 2, 2**16)
    used = len(np.unique(np.asarray(ids)[np.asarray(counts)]))
    assert abs(used / 2**16 - (1 - np.exp(-1))) < 0.01
    swapped = [hashed(p, 2**16) == hashed(p[::-1], 2**16) for p in pairs[:2000] if p[0] != p[1]]
    assert np.mean(swapped) < 0.01


def test_a_batch_split_over_devices_gives_the_same_and_moves_nothing():
    mesh = sharding.make_mesh({"data": -1})
    program = jax.jit(lambda *batch: distinct_ngrams(*batch[:2], 3, 1000, batch[2]))
    want = program(TOKENS, MASK, PRESENCE)
    with sharding.use(mesh):
        batch = sharding.put((TOKENS, MASK, PRESENCE), mesh)
        compiled = program.lower(*batch).compile()
        jax.tree.map(np.testing.assert_array_equal, compiled(*batch), want)
    assert "all-gather(" not in compiled.as_text()
