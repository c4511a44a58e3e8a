"""From texts to arrays: in chunks, cut early, the same as one by one."""

import tracemalloc

import numpy as np
import pytest

from bigmodel_jax.data import tokenized
from bigmodel_jax.data.limit import Limit
from bigmodel_jax.data.tokenizers.words import Tokenizer
from bigmodel_jax.errors import UserError

TEXTS = ["one two three", "", "two " * 50, "three one"]


@pytest.fixture
def tokenizer():
    made = Tokenizer()
    made.train(TEXTS)
    return made


def stored(path, texts, tokenizer, pairs=()):
    examples = [{"text": text, "label": i} for i, text in enumerate(texts)]
    for example, pair in zip(examples, pairs, strict=False):
        example["pair"] = pair
    return tokenized.write(path, examples, tokenizer, {"of": "a test"}, "a test")


@pytest.mark.parametrize("chunk", [1, 20, 10**6])
def test_chunks_change_nothing(chunk, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenized, "CHUNK", chunk)
    found = stored(tmp_path / "a", TEXTS, tokenizer)
    for i, text in enumerate(TEXTS):
        ids = found.tokens[found.offsets[i] : found.offsets[i + 1]]
        assert ids.tolist() == tokenizer.encode(text).tolist()
    assert found.labels.tolist() == [0, 1, 2, 3]


def test_a_tokenizer_that_encodes_one_by_one_will_do(tokenizer, tmp_path):
    class OneByOne:
        encode = tokenizer.encode

    one, many = (stored(tmp_path / n, TEXTS, t) for n, t in (("1", OneByOne()), ("2", tokenizer)))
    assert one.tokens.tolist() == many.tokens.tolist()


def test_the_second_of_a_pair_begins_with_the_separator(tokenizer, tmp_path):
    found = stored(tmp_path / "a", ["one", ""], tokenizer, ["two three", ""])
    assert found.offsets.tolist() == [0, 1, 4, 4, 5]
    names = tokenizer.tokens(found.tokens)
    assert names == ["one", "<separator>", "two", "three", "<separator>"]
    tokenizer.separator = None
    with pytest.raises(UserError, match="no separator"):
        stored(tmp_path / "b", ["one"], tokenizer, ["two"])


def test_labels_of_many_classes_are_not_all_held_at_once(tokenizer, tmp_path):
    classes, count = 100_000, 200

    def zeros_and_ones(label):
        return np.eye(1, classes, label, np.uint8)[0]

    examples = [{"text": "one", "label": i} for i in range(count)]
    tracemalloc.start()
    try:
        made = tokenized.write(
            tmp_path / "a", examples, tokenizer, {}, "a test", np.uint8, zeros_and_ones
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made.labels.shape == (count, classes) and peak < made.labels.nbytes / 10
    np.testing.assert_array_equal(made.labels.argmax(1), np.arange(count))


@pytest.mark.parametrize("keep", ["head", "tail", "both"])
def test_texts_far_too_long_are_cut_where_no_kept_token_is(keep, tokenizer):
    limit = Limit(100, keep)
    assert limit.characters == 64 * 128
    long = " ".join(TEXTS[i % 2 * 3] for i in range(5000))
    ids, cut = tokenizer.encode(long), tokenizer.encode(limit(long))
    assert len(cut) < len(ids) / 2 and limit.cut == 1
    if keep != "tail":
        np.testing.assert_array_equal(cut[:100], ids[:100])
    if keep != "head":
        np.testing.assert_array_equal(cut[-100:], ids[-100:])


def test_ordinary_texts_are_not_cut():
    limit = Limit(400, "tail")
    assert limit("a" * 32768) == "a" * 32768 and limit.cut == 0
    assert str(limit) == "their last 32,768 characters"
    assert limit.example({"text": "b" * 40000, "label": 3})["label"] == 3 and limit.cut == 1
