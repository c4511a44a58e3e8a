"""The text source: cut, padded, cached; what a batch holds is what the texts say."""

from pathlib import Path

import numpy as np
import pytest

from bigmodel_jax.data import text, tokenized
from bigmodel_jax.data.prefetch import Prefetch
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.errors import UserError

ROWS = [
    ("yes", "good one two three four five"),
    ("no", "bad"),
    ("yes", "good six"),
    ("no", "bad two"),
]


@pytest.fixture
def source(tmp_path, data_dir):
    """A source over a small file of the user's own, with changes to config.data."""

    def make(rows=ROWS * 10, split="train", training=True, **changes):
        path = tmp_path / "own.txt"
        path.write_text("".join(f"{label}\t{words}\n" for label, words in rows))
        data = dict(
            name="text",
            path=str(path),
            reader=dict(name="files"),
            splits=dict(train="train[:90%]", val="train[90%:]", test="test"),
            tokenizer=dict(name="words", vocabulary_size=100),
            max_length=4,
            batch_size=8,
        )
        data, _ = resolve_data({**data, **changes}, data_dir=data_dir)
        del data["name"]
        return text.Source(**data, split=split, training=training, data_dir=data_dir)

    return make


def sentences(batch, tokenizer):
    """(label, words) of the real rows."""
    found = []
    columns = [batch[key] for key in ("tokens", "mask", "label", "valid")]
    for tokens, mask, label, valid in zip(*columns, strict=True):
        if valid:
            found.append((int(label), " ".join(tokenizer.tokens(tokens[mask]))))
    return found


@pytest.mark.parametrize(
    "keep, kept",
    [
        ("head", "good one two three"),
        ("tail", "two three four five"),
        ("both", "good one four five"),
    ],
)
def test_long_texts_are_cut_where_the_config_says(source, keep, kept):
    made = source(keep=keep)
    found = {
        s for i in range(made.steps_per_epoch) for s in sentences(made.batch(i), made.tokenizer)
    }
    assert (1, kept) in found and (0, "bad") in found


def test_an_epoch_holds_every_example_of_its_split_once(source):
    made = source()
    rows = np.concatenate([made.rows(i) for i in range(made.steps_per_epoch)])
    assert sorted(rows[rows >= 0]) == list(range(made.examples)) and made.examples == 32
    assert (
        made.steps_per_epoch == 4
    )  # 80 percent of 40: a file without a test split is cut in three


def test_padding_is_zero_and_masked(source):
    batch = source(buckets=()).batch(0)
    assert batch["tokens"].dtype == np.int32 and batch["label"].dtype == np.int32
    assert (batch["tokens"][~batch["mask"]] == 0).all() and batch["mask"].dtype == bool


def test_the_second_source_reads_the_cache_and_gives_the_same_batches(source, monkeypatch):
    first = source().batch(3)
    monkeypatch.setattr(tokenized, "write", None)
    for key, value in source().batch(3).items():
        np.testing.assert_array_equal(value, first[key])


def test_other_settings_or_other_data_have_another_cache(source, data_dir):
    made = source()
    other = source(rows=[*ROWS * 10, ("yes", "fine")])
    assert other.fingerprint != made.fingerprint and other.examples != made.examples


def test_encode_prepares_new_texts_as_the_source_did_its_own(source, tmp_path):
    made = source(keep="both")
    made.save_assets(tmp_path / "assets")
    spec = dict(tokenizer=dict(name="words", vocabulary_size=100), max_length=4, keep="both")
    tokenizer, labels = text.load_assets(tmp_path / "assets", spec)
    assert labels == ("no", "yes")
    batch = text.encode([ROWS[0][1], "bad", ""], tokenizer, spec)
    assert tokenizer.tokens(batch["tokens"][0][batch["mask"][0]]) == ["good", "one", "four", "five"]
    assert batch["mask"].sum(1).tolist() == [4, 1, 0]


@pytest.mark.parametrize(
    "changes, complaint",
    [
        (dict(keep="middle"), "'head', 'tail' or 'both'"),
        (dict(max_length=0), "must rise from 1"),
        (dict(buckets=(3, 2)), "must rise"),
        (dict(split="tets"), "Did you mean 'test'"),
        (dict(rows=[("yes", "good")] * 20), "have the label 'yes'"),
        (dict(rows=[("yes", "\u200b"), ("no", "\u200b")] * 20), "no text to learn from"),
    ],
)
def test_what_cannot_be_trained_on_is_named(source, changes, complaint):
    with pytest.raises(UserError, match=complaint):
        source(**changes)


def test_a_damaged_cache_is_made_anew_and_says_so(source, capsys):
    made = source()
    folder = Path(made._data.tokens.filename).parent
    whole = (folder / "tokens.npy").read_bytes()
    (folder / "tokens.npy").write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    again = source()
    assert "was damaged, and is made anew" in capsys.readouterr().out
    assert (folder / "tokens.npy").read_bytes() == whole and again.examples == made.examples


def test_an_error_while_reading_ahead_reaches_the_loop():
    def batch(step):
        if step == 2:
            raise UserError("the disk is gone")
        return step

    seen = []
    with (
        pytest.raises(UserError, match="the disk is gone"),
        Prefetch(batch, lambda x: x, 0, 9) as it,
    ):
        seen.extend(iter(it))
    with Prefetch(lambda step: step, lambda x: x, 0, 1000) as it:
        assert next(iter(it)) == 0  # left early: the thread ends with the block
    assert not it._thread.is_alive()
