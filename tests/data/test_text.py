"""The text source: cut, padded, cached; what a batch holds is what the texts say."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

from bigmodel_jax.data import encoding, text, tokenized
from bigmodel_jax.data.prefetch import Prefetch
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.errors import UserError
from tests.strains import toy_texts

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


def umask():
    """The bits that new files lack."""
    bits = os.umask(0)
    os.umask(bits)
    return bits


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
    tokenizer, labels = encoding.load_assets(tmp_path / "assets", spec)
    assert labels == ("no", "yes")
    batch = encoding.encode([ROWS[0][1], "bad", ""], tokenizer, spec)
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


@pytest.fixture
def toy(data_dir):
    """A source over the made-up texts of toy_texts."""

    def make(split="train", training=True, **changes):
        data = toy_texts.data(**changes)
        del data["name"]
        return text.Source(**data, split=split, training=training, data_dir=data_dir)

    return make


def examples(made):
    """The examples of a source's split, from its reader."""
    size = made._reader.splits["train"] * 8 // 10
    return list(made._reader.examples("train", range(size)))


@pytest.mark.parametrize("target", ["class", "labels", "number"])
def test_a_batch_holds_the_label_of_every_kind_of_target(toy, target):
    made = toy(target=target)
    expected = [x["label"] for x in examples(made)]
    for step in range(made.steps_per_epoch):
        batch, rows = made.batch(step), made.rows(step)
        assert batch["label"].dtype == (np.int32 if target == "class" else np.float32)
        for label, row in zip(batch["label"], rows, strict=True):
            if target == "labels" and row >= 0:
                label = np.flatnonzero(label).tolist()
            assert row < 0 or label == pytest.approx(expected[row])
    assert made.info["num_classes"] == (1 if target == "number" else 6)


def test_multi_label_targets_are_stored_in_a_byte_each(toy):
    assert toy(target="labels").labels.dtype == np.uint8


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("max_length", [3, 8, 9, 14, 40])
def test_pairs_are_cut_as_tokenizers_cuts_them(toy, max_length, resident):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = toy(pairs=True, max_length=max_length, resident=resident)
    vocabulary = {w: int(made.tokenizer.encode(w)[0]) for w in toy_texts.WORDS} | {"<separator>": 2}
    theirs = Tokenizer(models.WordLevel(vocabulary, unk_token="ash"))
    theirs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    theirs.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A <separator> $B", special_tokens=[("<separator>", 2)]
    )
    theirs.enable_truncation(max_length, strategy="longest_first")
    known = examples(made)
    for step in range(made.steps_per_epoch):
        batch = made.batch(step)
        if resident:
            batch = jax.device_get(made.assemble(made.store(), batch))
        for tokens, mask, row in zip(batch["tokens"], batch["mask"], made.rows(step), strict=True):
            if row >= 0:
                expected = theirs.encode(known[row]["text"], known[row]["pair"])
                assert tokens[mask].tolist() == expected.ids


def test_new_pairs_are_prepared_as_the_source_did_its_own(toy):
    made, spec = toy(pairs=True), toy_texts.data()
    pairs = [(x["text"], x["pair"]) for x in examples(made)[:5]]
    batch = encoding.encode(pairs, made.tokenizer, spec)
    for row in range(5):
        step = next(s for s in range(made.steps_per_epoch) if row in made.rows(s))
        known = made.batch(step)["tokens"][made.rows(step).tolist().index(row)]
        assert batch["tokens"][row][batch["mask"][row]].tolist() == known[known > 0].tolist()


def test_a_source_knows_its_texts_by_the_index_of_the_example(toy):
    made = toy(split="train[10:20]", training=False, pairs=True)
    reader = made._reader
    expected = [f"{x['text']} ||| {x['pair']}" for x in reader.examples("train", [17, 10])]
    assert made.texts([7, 0]) == expected


def test_a_split_by_hash_holds_what_it_says_and_evaluators_check_it_without_reading(
    toy, monkeypatch
):
    splits = dict(train="train[hash :70%]", val="train[hash 70%:]", test="test")
    train, val = toy(splits=splits), toy(splits=splits, split="val", training=False)
    assert train.examples + val.examples == 200 and 0.5 < train.examples / 200 < 0.9
    assert not set(train.texts(range(train.examples))) & set(val.texts(range(val.examples)))
    nothing = toy(splits={**splits, "val": "train[hash 99.9999%:]"})
    with pytest.raises(UserError, match="is empty"):
        nothing.check_split("val")
    monkeypatch.setattr(text, "FEW", 0)
    train._reader.examples = None
    train.check_split("val")
    with pytest.raises(UserError, match="is empty"):
        train.check_split("train[hash :0%]")


def test_the_texts_of_a_split_by_hash_are_read_once_for_all_its_parts_and_all_later_starts(
    toy, data_dir, monkeypatch, capsys
):
    read = []

    def counted(self, split, indices=None):
        read.append((split, indices is None))
        return original(self, split, indices)

    original = toy_texts.Reader.examples
    monkeypatch.setattr(toy_texts.Reader, "examples", counted)
    parts = {"train": "train[hash :70%]", "val": "train[hash 70%:85%]", "test": "train[hash 85%:]"}
    start = dict(size=150, longest=9, splits=parts)  # of this test alone: nothing is cached
    before = {*Path(data_dir).rglob("hashes-*")}
    found = {name: toy(name, name == "train", **start) for name in parts}
    whole = ("train", True)
    assert read.count(whole) == 1 and len(read) == 5  # and each part once, train for words too
    held = [text for made in found.values() for text in made.texts(range(made.examples))]
    assert sorted(held) == sorted(x["text"] for x in original(found["val"]._reader, "train"))

    read.clear()
    toy(**start).check_split("val")
    toy("val", False, **start)
    assert not read

    (path,) = {*Path(data_dir).rglob("hashes-*")} - before
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(flipped) // 2] ^= 1
    for damaged in (b"", content[:300], bytes(flipped)):
        path.write_bytes(damaged)
        toy("test", False, **start).check_split("test")
        assert read == [whole] and path.read_bytes() == content
        assert "was damaged, and is made anew" in capsys.readouterr().out
        read.clear()


def test_a_torn_vocabulary_is_made_anew_and_says_so(source, data_dir, capsys):
    rows = [*ROWS, ("no", "torn")] * 10
    before = {*Path(data_dir).rglob("tokenizer.json")}
    words = source(rows).tokenizer.tokens(range(9))
    (path,) = {*Path(data_dir).rglob("tokenizer.json")} - before
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert source(rows).tokenizer.tokens(range(9)) == words
    assert "tokenizer is made anew" in capsys.readouterr().out
    assert path.read_bytes() == whole and path.stat().st_mode & 0o777 == 0o666 & ~umask()
    assert path.parent.stat().st_mode & 0o777 == 0o777 & ~umask()
    assert not [*Path(data_dir).rglob("*.unfinished")]


def test_balanced_sampling_shows_every_class_equally_often_to_training_alone(toy):
    made = toy(balance=True)
    labels = [made.batch(i) for i in range(made.steps_per_epoch)]
    counts = np.bincount(np.concatenate([b["label"][b["valid"]] for b in labels]))
    assert counts.max() - counts.min() <= 1 and counts.sum() == made.examples
    assert np.ptp(np.bincount(made.labels)) > 20
    evaluated = toy(balance=True, training=False)
    rows = np.concatenate([evaluated.rows(i) for i in range(evaluated.steps_per_epoch)])
    assert sorted(rows[rows >= 0]) == list(range(evaluated.examples))


DROP = dict(name="word_dropout", rate=0.3)


def test_transforms_change_training_texts_and_no_others(toy):
    plain, changed = toy(), toy(transforms=(DROP,))
    evaluated = toy(transforms=(DROP,), training=False)
    before, after = plain.batch(0), changed.batch(0)
    assert after["tokens"].shape == before["tokens"].shape
    assert (after["mask"].sum(1) <= before["mask"].sum(1)).all()
    assert 0.5 < after["mask"].sum() / before["mask"].sum() < 0.9
    assert ((after["tokens"] > 0) == after["mask"]).all()
    unchanged = toy(training=False).batch(0)
    np.testing.assert_array_equal(evaluated.batch(0)["tokens"], unchanged["tokens"])


def test_transformed_batches_are_the_same_on_one_or_two_hosts_and_after_a_resume(toy):
    options = dict(transforms=(DROP, dict(name="swap"), dict(name="mask_tokens")))
    whole = toy(**options).batch(3)
    halves = [toy(**options, process=(i, 2)).batch(3) for i in range(2)]
    for key, value in whole.items():
        np.testing.assert_array_equal(value, np.concatenate([half[key] for half in halves]))
    assert not np.array_equal(whole["tokens"], toy(**options, seed=1).batch(3)["tokens"])


def test_a_class_that_the_training_part_lacks_is_noted(toy, capsys):
    made = toy(splits=dict(train="train[:6]", test="test"))
    missing = [name for c, name in enumerate(toy_texts.WORDS) if c not in made.labels]
    note = f"of 6 classes, {len(missing)} cannot be learnt"
    assert f"no example of '{missing[0]}'" in (out := capsys.readouterr().out) and note in out


def test_twenty_examples_and_a_batch_larger_than_they_are(source):
    made = source(rows=ROWS * 5, batch_size=64)
    assert made.steps_per_epoch == 1 and made.batch(0)["valid"].sum() == made.examples == 16


@pytest.mark.parametrize(
    "changes, complaint",
    [
        (dict(target="number", balance=True), "the target is 'number'"),
        (dict(transforms=(DROP,), resident=True), "leave out one of the two"),
        (dict(transforms=(dict(name="word_drop"),)), "Did you mean 'word_dropout'"),
        (dict(transforms=(dict(name="swap", rate=2.0),)), "from 0 up to below 1"),
        (dict(size=10, splits=dict(train="train[:1]", test="test")), "holds only the class"),
        (dict(target="number", splits=dict(train="train[:1]")), "holds only the number"),
        (dict(target="labels", splits=dict(train="train[:1]")), "same set of labels"),
    ],
)
def test_what_does_not_go_together_is_named(toy, changes, complaint):
    with pytest.raises(UserError, match=complaint):
        toy(**changes)


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


def test_texts_without_words_are_counted_aloud(source, capsys):
    source(rows=[*ROWS * 10, ("no", "")], splits=dict(train="train", val="train"))
    assert "own: 1 text has no words to learn from" in capsys.readouterr().out
    source(rows=ROWS * 10, splits=dict(train="train", val="train"))
    assert "NOTE" not in capsys.readouterr().out
