"""Splits by slice: what tfds writes, and one sentence for what cannot be meant."""

import numpy as np
import pytest

from bigmodel_jax.data.splits import parse
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
    ],
)
def test_what_cannot_be_meant_is_said(spec, message):
    with pytest.raises(UserError, match=message):
        parse(spec, SIZES)
