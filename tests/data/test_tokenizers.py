"""Both tokenizers: the same ids from the same text, on any machine and after any save."""

import hashlib
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from bigmodel_jax.data.tokenizers import ngrams
from bigmodel_jax.data.tokenizers import words as vocabulary
from bigmodel_jax.errors import UserError

TEXTS = ["the cat sat on the mat", "the dog sat", "a cat, a dog", "我爱电影"]


def trained(texts=TEXTS, **options):
    tokenizer = vocabulary.Tokenizer(**options)
    tokenizer.train(iter(texts))
    return tokenizer


def test_most_frequent_words_come_first_and_ties_are_alphabetical():
    tokenizer = trained()
    names = tokenizer.tokens(range(tokenizer.vocabulary_size))
    assert names[:2] == ["<padding>", "<unknown>"]
    assert names[2:9] == ["the", "a", "cat", "dog", "sat", ",", "mat"]
    assert tokenizer.vocabulary_size == len(names) == 14


def test_words_beyond_the_vocabulary_are_unknown():
    tokenizer = trained(vocabulary_size=4)
    ids = tokenizer.encode("A<br />the zebra &amp; THE cat")
    assert ids.dtype == np.int32
    assert ids.tolist() == [3, 2, 1, 1, 2, 1]
    assert tokenizer.tokens(ids)[:3] == ["a", "the", "<unknown>"]
    assert tokenizer.encode("").shape == (0,)


def test_chinese_is_a_vocabulary_of_characters():
    tokenizer = trained(["我爱电影", "我爱你", "I love 电影"])
    assert tokenizer.tokens(tokenizer.encode("电影爱我!")) == ["电", "影", "爱", "我", "<unknown>"]


def test_a_full_counter_forgets_rare_words_only(monkeypatch):
    monkeypatch.setattr(vocabulary, "COUNTER_LIMIT", 20)
    texts = [f"common usual rare{i}" for i in range(200)]
    tokenizer = trained(texts, vocabulary_size=4)
    assert tokenizer.tokens([2, 3]) == ["common", "usual"]
    left = vocabulary._prune(Counter({"a": 5, "b": 2, "c": 1, "d": 2}), 2)
    assert left == {"a": 5}


def test_ngrams_are_the_distinct_words_pairs_and_triples():
    tokenizer = ngrams.Tokenizer(n=3, buckets=2**30)
    ids = tokenizer.encode("to be or not to be")
    grams = 4 + 4 + 4  # to be or not; to-be be-or or-not not-to; four triples
    assert ids.dtype == np.int32 and len(ids) == grams
    assert (np.diff(ids) > 0).all() and ids.min() >= 1 and ids.max() < tokenizer.vocabulary_size
    assert set(tokenizer.encode("be or")) < set(ids)
    assert len(set(tokenizer.encode("or be")) & set(ids)) == 2  # the words, not the pair
    assert tokenizer.encode("").shape == (0,)
    assert len(tokenizer.encode("word")) == 1


def test_ngram_ids_are_what_a_loop_in_plain_integers_makes_them():
    """The hash is part of every checkpoint's meaning: it must never change."""
    wrap, tokens = 2**64 - 1, ["good", "film", "电", "good"]
    single = [
        int.from_bytes(hashlib.blake2b(w.encode(), digest_size=8).digest(), "little")
        for w in tokens
    ]
    expected = set()
    for start in range(4):
        gram = 0
        for word in single[start : start + 3]:
            gram = (gram * 0x9E3779B97F4A7C15 + word) & wrap
            x = ((gram ^ (gram >> 30)) * 0xBF58476D1CE4E5B9) & wrap
            x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & wrap
            expected.add((x ^ (x >> 31)) % 999 + 1)
    ids = ngrams.Tokenizer(n=3, buckets=1000).encode("Good film 电 good")
    assert ids.tolist() == sorted(expected)
    assert ngrams.Tokenizer(n=2, buckets=2**22).encode("good film").tolist() == [
        350978,
        1438753,
        2651818,
    ]


def test_ngrams_fill_the_buckets_evenly():
    tokenizer = ngrams.Tokenizer(n=2, buckets=65)
    ids = np.concatenate([tokenizer.encode(f"w{i} x{i}") for i in range(4000)])
    counts = np.bincount(ids, minlength=65)
    assert counts[0] == 0
    chi2 = ((counts[1:] - len(ids) / 64) ** 2).sum() / (len(ids) / 64)
    assert chi2 < 63 + 5 * np.sqrt(2 * 63)


def test_ngrams_of_a_full_cache_are_the_same(monkeypatch):
    expected = ngrams.Tokenizer().encode("one two three four one two")
    monkeypatch.setattr(ngrams, "_CACHE_LIMIT", 2)
    assert ngrams.Tokenizer().encode("one two three four one two").tolist() == expected.tolist()


@pytest.mark.parametrize("make", [trained, ngrams.Tokenizer])
def test_saved_and_loaded_is_the_same_tokenizer(make, tmp_path):
    saved, loaded = make(lowercase=False), type(make())()
    saved.save(tmp_path)
    loaded.load(tmp_path)
    first = (tmp_path / "tokenizer.json").read_bytes()
    loaded.save(tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == first
    assert loaded.vocabulary_size == saved.vocabulary_size
    for text in [*TEXTS, "The 我 unseen"]:
        assert loaded.encode(text).tolist() == saved.encode(text).tolist()


def test_processes_with_other_hash_seeds_write_and_read_the_same(tmp_path):
    program = f"""
import pathlib, sys
from bigmodel_jax.data.tokenizers import ngrams, words
tokenizer = words.Tokenizer(vocabulary_size=8)
tokenizer.train({TEXTS!r})
tokenizer.save(pathlib.Path(sys.argv[1]))
print(tokenizer.encode({TEXTS[0]!r}), ngrams.Tokenizer().encode({TEXTS[0]!r}))
"""
    outputs = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", program, str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        outputs.add((done.stdout, (tmp_path / "tokenizer.json").read_bytes()))
    assert len(outputs) == 1


def test_impossible_settings_are_refused():
    with pytest.raises(UserError, match="vocabulary_size is 2"):
        vocabulary.Tokenizer(vocabulary_size=2)
    with pytest.raises(UserError, match="n is 0"):
        ngrams.Tokenizer(n=0)
    with pytest.raises(UserError, match="buckets is 1"):
        ngrams.Tokenizer(buckets=1)
