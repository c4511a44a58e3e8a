"""Splits by slice: what tfds writes, and one sentence for what cannot be meant."""

import numpy as np
import pytest

from bigmodel_jax.data.hashes import text_hash
from bigmodel_jax.data.splits import complete, parse
from bigmodel_jax.errors import UserError

SIZES = {"train": 25, "test": 9}


@pytest.mark.parametrize(
    ("spec", "start", "stop"),
    [
        ("train", 0, 25),
        ("train[:]", 0, 25),
        ("train[:90%]", 0, 23),  # 22.5 rounds up
        ("train[90%:]", 23, 25),
        ("train[-10%:]", 23, 25),
        ("train[:-10%]", 0, 23),
        ("train[12.5%:50%]", 3, 13),
        ("train[-5:]", 20, 25),
        ("train[5:-5]", 5, 20),
        ("train[ 1_0 : 25 ]", 10, 25),
        ("train[10:50%]", 10, 13),
    ],
)
def test_slices(spec, start, stop):
    name, indices = parse(spec, SIZES)
    assert name == "train"
    np.testing.assert_array_equal(indices, np.arange(start, stop))


@pytest.mark.parametrize("size", [1, 7, 10, 25, 333, 25_000])
@pytest.mark.parametrize("percent", ["1", "12.5", "33", "50", "90", "99.9"])
def test_two_sides_of_a_cut_are_the_whole(size, percent):
    sizes = {"train": size}
    parts = []
    for spec in (f"train[:{percent}%]", f"train[{percent}%:]"):
        try:
            parts.append(parse(spec, sizes)[1])
        except UserError as error:
            assert "is empty" in str(error)
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(size))


def test_slices_agree_with_tfds():
    from tensorflow_datasets.core import splits

    info = splits.SplitInfo(name="train", shard_lengths=[1237], num_bytes=0, filename_template=None)
    for spec in ("train[:90%]", "train[90%:]", "train[-300:]", "train[17:900]", "train[33%:67%]"):
        (theirs,) = splits.AbstractSplit.from_spec(spec).to_absolute({"train": info})
        indices = parse(spec, {"train": 1237})[1]
        assert (theirs.from_ or 0, theirs.to or 1237) == (indices[0], indices[-1] + 1)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tran[:5]", "no split 'tran'. Did you mean 'train'"),
        ("train[5]", "not like"),
        ("train[1:2:3]", "not like"),
        ("train[:ten]", "'ten' is neither"),
        ("train[:2.5]", "'2.5' is neither"),
        ("train[:26]", "more than there are"),
        ("train[:101%]", "more than there are"),
        ("train[-26:]", "more than there are"),
        ("train[5:5]", "is empty"),
        ("train[9:3]", "is empty"),
        ("test[:1%]", "is empty"),
        ("train[fold 6/5]", "fold must be 1/5 to 5/5"),
        ("train[fold 0/5]", "fold must be 1/5 to 5/5"),
        ("train[fold 1/1]", "at least 2 folds"),
        ("train[fold 2/50]", "25 examples cannot make 50 folds"),
        ("train[fold 2]", "not like"),
        ("train[hash 90%]", "not like"),
        ("train[hash :0.9]", "percentages up to 100%, which '0.9' is not"),
        ("train[hash :110%]", "percentages up to 100%"),
        ("train[hash 90%:10%]", "is empty"),
    ],
)
def test_what_cannot_be_meant_is_said(spec, message):
    with pytest.raises(UserError, match=message):
        parse(spec, SIZES)


@pytest.mark.parametrize("size", [5, 7, 10, 333])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_folds_partition_a_split_into_parts_of_one_size(size, count):
    sizes = {"train": size}
    folds = [parse(f"train[fold {k}/{count}]", sizes)[1] for k in range(1, count + 1)]
    np.testing.assert_array_equal(np.concatenate(folds), np.arange(size))
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    for k, fold in enumerate(folds, 1):
        others = parse(f"train[not fold {k}/{count}]", sizes)[1]
        assert sorted([*fold, *others]) == list(range(size)) and (np.diff(others) > 0).all()


def test_a_seed_mixes_the_examples_before_they_are_cut_into_folds():
    sizes = {"train": 100}
    folds = [parse(f"train[fold {k}/4 seed 7]", sizes)[1] for k in (1, 2, 3, 4)]
    assert sorted(np.concatenate(folds)) == list(range(100)) and {len(f) for f in folds} == {25}
    assert all((np.diff(fold) > 0).all() and fold.max() - fold.min() > 70 for fold in folds)
    others = parse("train[not fold 2/4 seed 7]", sizes)[1]
    assert sorted([*folds[1], *others]) == list(range(100))
    assert not np.array_equal(folds[0], parse("train[fold 1/4 seed 8]", sizes)[1])


def hashed(part, texts):
    """The texts in a part by hash, as a set."""
    hashes = np.array([text_hash((text,)) for text in texts])
    positions = parse(f"train[hash {part}]", {"train": len(texts)}, lambda: hashes)[1]
    return {texts[i] for i in positions}


TEXTS = [f"text number {i}" for i in range(1000)]


def test_parts_by_hash_partition_a_split_near_the_wanted_sizes():
    parts = [hashed(part, TEXTS) for part in (":80%", "80%:90%", "-10%:")]
    assert set.union(*parts) == set(TEXTS) and sum(map(len, parts)) == len(TEXTS)
    np.testing.assert_allclose([len(part) for part in parts], [800, 100, 100], atol=40)


def test_a_part_by_hash_depends_on_nothing_but_the_text():
    """Shuffled, grown and with doubles: every text stays where it was."""
    part = hashed(":90%", TEXTS)
    shuffled = list(np.random.default_rng(0).permutation(TEXTS))
    assert hashed(":90%", shuffled) == part
    grown = [*TEXTS, *TEXTS[:300], *(f"another {i}" for i in range(1000))]
    assert hashed(":90%", grown) & set(TEXTS) == part
    assert not hashed(":90%", grown) & hashed("90%:", grown)


def test_the_hash_is_the_one_that_runs_of_old_were_split_by():
    assert sorted(hashed(":1%", TEXTS)) == [
        "text number 264",
        "text number 30",
        "text number 367",
        "text number 470",
        "text number 650",
        "text number 799",
        "text number 806",
        "text number 808",
        "text number 813",
        "text number 844",
        "text number 874",
        "text number 953",
        "text number 975",
    ]


def test_a_data_sets_own_splits_and_the_configs_are_brought_together():
    given = dict(train="train[:90%]", val="train[90%:]", test="test")
    assert complete(given, {"train": 10, "test": 5}) == given
    own = complete(given, {"train": 10, "validation": 5, "test": 5})
    assert own == dict(train="train", val="validation", test="test")
    assert complete(given, {"train": 10})["test"] == "train[90%:]"


def test_too_few_examples_for_three_parts_are_refused():
    given = dict(train="train[:90%]", val="train[90%:]", test="test")
    for size in range(1, 8):
        with pytest.raises(UserError, match=rf"^{size} examples? are too few to be cut 80/10/10"):
            complete(given, {"train": size})
    cut = complete(given, {"train": 8})
    assert [len(parse(cut[name], {"train": 8})[1]) for name in cut] == [6, 1, 1]


def test_folds_and_hashes_in_a_config_stay_as_they_are():
    folds = dict(train="train[not fold 2/5]", val="train[fold 2/5]", test="test")
    assert complete(folds, {"train": 10, "validation": 5, "test": 5}) == folds
    with pytest.raises(UserError, match="name its test part too"):
        complete(folds, {"train": 10})
    tested = {**folds, "test": "train[fold 2/5]"}
    assert complete(tested, {"train": 10}) == tested
