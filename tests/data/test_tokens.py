"""The source of running text: what its rows say is what the documents say, whoever asks and when."""

import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest

from bigmodel_jax.data.tokens import Source
from bigmodel_jax.errors import UserError

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "saw",
    "Two",
    "dogs",
    "run",
    "off",
    "to",
    "sea",
    "again",
]
BPE = dict(name="raw", kind="bpe", vocabulary_size=300)
CHARACTERS = dict(name="characters")


def documents(count=40, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 20))) + ".\n" for _ in range(count)]


def write(path: Path, texts) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@pytest.fixture
def source(tmp_path, data_dir):
    """A source over a JSONL file of the user's own, with changes to config.data."""
    path = write(tmp_path / "own.jsonl", documents())

    def make(**changes):
        options = dict(path=str(path), tokenizer=BPE, length=16, batch_size=4, data_dir=data_dir)
        return Source(**{**options, **changes})

    return make


def epoch(made, first=0):
    return [made.batch(first + step) for step in range(made.steps_per_epoch)]


def segments(batches, made, key="targets"):
    """Every segment of some batches as (text, whether it begins at its document's beginning)."""
    found = []
    for batch in batches:
        for row in range(len(batch["tokens"])):
            for segment in range(1, batch["segments"][row].max() + 1):
                inside = batch["segments"][row] == segment
                begins = batch["tokens"][row][inside][0] == made.tokenizer.separator
                found.append((made.tokenizer.decode(batch[key][row][inside]), bool(begins)))
    return found


@pytest.mark.parametrize("packing", ["concat", "best_fit", "documents"])
def test_an_epoch_predicts_every_token_of_its_split_once_in_any_packing(source, packing):
    made = source(packing=packing)
    for number in range(2):
        batches = epoch(made, number * made.steps_per_epoch)
        targets = np.concatenate([b["targets"][b["mask"]] for b in batches])
        expected = [[*made.tokenizer.encode(t), made.tokenizer.separator] for t in documents()[:36]]
        assert sorted(targets) == sorted(np.concatenate(expected)) and len(targets) == made.tokens
        assert made.tokens == sum(map(len, expected))
        index = np.concatenate([b["index"] for b in batches])
        assert sorted(index[index >= 0]) == list(range(made.examples))


def test_what_is_packed_is_what_separate_documents_are(source):
    alone = segments(epoch(source(packing="documents", length=256)), source())
    packed = segments(epoch(source(packing="best_fit", length=256)), source())
    assert sorted(alone) == sorted(packed) == sorted((t, True) for t in documents()[:36])


def test_a_row_reads_one_document_before_another_and_targets_are_one_ahead(source):
    made = source()
    for batch in epoch(made):
        tokens, targets, segment = batch["tokens"], batch["targets"], batch["segments"]
        same = (segment[:, 1:] == segment[:, :-1]) & (segment[:, 1:] > 0)
        np.testing.assert_array_equal(tokens[:, 1:][same], targets[:, :-1][same])
        steps = batch["positions"][:, 1:] - batch["positions"][:, :-1]
        assert (steps[same] == 1).all() and (batch["positions"][:, 1:][~same] == 0).all()
        ends = ~same & (segment[:, :-1] > 0) & (segment[:, 1:] > 0)
        separator = made.tokenizer.separator
        ended = targets[:, :-1][ends] == separator  # or the stream ends there, in one row
        assert (tokens[:, 1:][ends][ended] == separator).all()
        np.testing.assert_array_equal(batch["mask"], segment > 0)
        for key in ("tokens", "targets", "segments", "positions"):
            assert batch[key].dtype == np.int32 and (batch[key][~batch["mask"]] == 0).all()


def test_the_cuts_differ_from_epoch_to_epoch_and_evaluation_has_one_order(source):
    made, evaluated = source(), source(training=False)
    rows = [
        {tuple(r) for b in epoch(made, e * made.steps_per_epoch) for r in b["tokens"]}
        for e in (0, 1)
    ]
    assert len(rows[0] & rows[1]) < len(rows[0]) / 2
    for step in range(evaluated.steps_per_epoch):
        for key, value in evaluated.batch(step).items():
            again = evaluated.batch(step + evaluated.steps_per_epoch)
            np.testing.assert_array_equal(value, again[key])
    text = "".join(
        t
        for b in epoch(evaluated)
        for t in (made.tokenizer.decode(x[m]) for x, m in zip(b["targets"], b["mask"], strict=True))
    )
    assert text == "".join(documents()[:36])


def test_a_batch_depends_on_seed_and_step_alone(source):
    made, other = source(packing="best_fit"), source(packing="best_fit")
    step = 2 * made.steps_per_epoch + 3
    epoch(made)
    for key, value in made.batch(step).items():
        np.testing.assert_array_equal(value, other.batch(step)[key])
    different = source(packing="best_fit", seed=1).batch(step)["tokens"]
    assert (different != made.batch(step)["tokens"]).any()


def test_processes_together_have_the_batch_of_one(source):
    whole = source()
    shares = [source(process=(i, 2)) for i in range(2)]
    for step in (0, 5, whole.steps_per_epoch + 1):
        parts = [share.batch(step) for share in shares]
        for key, value in whole.batch(step).items():
            np.testing.assert_array_equal(value, np.concatenate([part[key] for part in parts]))
        np.testing.assert_array_equal(whole.rows(step), whole.batch(step)["index"])


@pytest.mark.parametrize("packing", ["concat", "best_fit", "documents"])
@pytest.mark.parametrize("shift", [True, False])
def test_rows_put_together_on_the_device_are_those_of_the_host(source, packing, shift):
    options = dict(packing=packing, shift=shift, length=23)
    streaming, resident = source(**options), source(**options, resident=True)
    store = jax.device_put(resident.store())
    assemble = jax.jit(resident.assemble)
    for step in range(2 * streaming.steps_per_epoch):
        expected, found = streaming.batch(step), assemble(store, resident.batch(step))
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            assert found[key].dtype == value.dtype
            np.testing.assert_array_equal(found[key], value, key)
    assert resident.peek().keys() == expected.keys()
    with pytest.raises(UserError, match="resident is for one corpus"):
        source(resident=True, words=True)


def test_without_a_shift_tokens_are_the_documents_and_there_are_no_targets(source):
    made = source(shift=False, packing="documents", length=256)
    assert "targets" not in made.batch(0)
    found = [text for text, _ in segments(epoch(made), made, "tokens")]
    assert sorted(found) == sorted(documents()[:36])


def test_bytes_a_token_are_the_texts_bytes(source):
    texts = documents()[36:]
    made = source(split="val", training=False)
    expected = sum(len(t.encode()) for t in texts)
    tokens = sum(len(made.tokenizer.encode(t)) + 1 for t in texts)
    assert made.bytes_per_token == pytest.approx(expected / tokens)
    assert made.tokens == tokens


def test_characters_have_no_separator_and_a_text_is_cut_by_its_tokens(tmp_path, data_dir):
    text = "To be, or not to be:\nthat is the question.\n" * 20
    path = tmp_path / "play.txt"
    path.write_text(text)
    options = dict(path=str(path), tokenizer=CHARACTERS, length=8, batch_size=4, data_dir=data_dir)
    train = Source(**options)
    val = Source(**options, split="val", training=False, fingerprint=train.fingerprint)
    cut = round(len(text) * 0.9)
    assert train.tokens == cut - 1 and val.tokens == len(text) - cut - 1
    assert train.info["vocabulary_size"] == len(set(text)) and train.info["special_ids"] == ()
    first = val.batch(0)
    count = int(first["mask"].sum())
    assert val.tokenizer.decode(first["tokens"][first["mask"]]) == text[cut:][:count]
    assert val.tokenizer.decode(first["targets"][first["mask"]]) == text[cut:][1 : count + 1]


def test_corpora_are_mixed_by_their_weights_whatever_their_sizes(tmp_path, data_dir):
    small = write(tmp_path / "small.jsonl", ["b b b b b b b b b b b b b b b\n"] * 9)
    large = write(tmp_path / "large.jsonl", ["aaa aaa aaa aaa aaa aaa\n"] * 90)
    corpora = (dict(path=str(small), weight=3), dict(path=str(large), weight=1))
    options = dict(
        tokenizer=CHARACTERS,
        length=16,
        batch_size=8,
        data_dir=data_dir,
        packing="documents",
        splits=dict(train="train"),
    )
    made = Source(corpora=corpora, **options)
    batches = epoch(made)
    texts = [made.tokenizer.decode(row) for b in batches for row in b["tokens"][b["valid"]]]
    share = sum("b" in text for text in texts) / len(texts)
    assert share == pytest.approx(0.75, abs=0.02) and len(texts) == made.examples
    index = np.concatenate([b["index"] for b in batches])
    seen = np.bincount(index[index >= 0], minlength=9 * 2 + 90 * 2)
    assert np.ptp(seen[: 9 * 2]) <= 1 and np.ptp(seen[9 * 2 :]) <= 1
    unweighted = Source(corpora=tuple({"path": c["path"]} for c in corpora), **options)
    assert unweighted.examples == made.examples == 9 * 2 + 90 * 2
    evaluated = Source(corpora=corpora, **options, training=False)
    rows = np.concatenate([evaluated.rows(i) for i in range(evaluated.steps_per_epoch)])
    assert sorted(rows[rows >= 0]) == list(range(evaluated.examples))


def test_pieces_of_a_word_have_one_number(source):
    made = source(words=True, shift=False, packing="documents", length=64)
    tokenizer = made.tokenizer
    for batch in epoch(made):
        for tokens, words, mask in zip(batch["tokens"], batch["words"], batch["mask"], strict=True):
            pieces = {}
            for token, word in zip(tokens[mask], words[mask], strict=True):
                pieces.setdefault(int(word), []).append(token)
            text = [tokenizer.decode(ids) for ids in pieces.values()]
            assert [x.strip() for x in text if x.strip(" .\n")] == tokenizer.decode(
                tokens[mask]
            ).replace(".\n", "").split()


def test_a_token_file_is_used_as_it_is_and_brings_its_tokenizer(source, tmp_path, data_dir):
    from bigmodel_jax.data import token_files, tokenizing
    from bigmodel_jax.data.corpora import Files

    corpus = Files([str(write(tmp_path / "more.jsonl", documents(seed=1)))])
    tokenizer = source().tokenizer
    tokenizing.tokenize(corpus, "train", tokenizer, tmp_path / "made")
    made = source(path=str(tmp_path / "made"), tokenizer=None)
    assert made.tokenizer.encode("the cat").tolist() == tokenizer.encode("the cat").tolist()
    with pytest.raises(UserError, match="has its own: leave it out"):
        source(path=str(tmp_path / "made"))
    made.save_assets(tmp_path / "assets")
    again = token_files.load_tokenizer(tmp_path / "assets" / "tokenizer.json")
    assert again.decode(again.encode("the cat ")) == "the cat "


def test_a_damaged_cache_is_made_anew_and_says_so(source, data_dir, capsys):
    before = {*Path(data_dir).rglob("tokens.bin")}
    expected = source(length=17).batch(0)["tokens"]
    for path in {*Path(data_dir).rglob("tokens.bin")} - before:
        path.write_bytes(path.read_bytes()[:-2])
    np.testing.assert_array_equal(source(length=17).batch(0)["tokens"], expected)
    assert "made anew" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changes, complaint",
    [
        (dict(packing="bestfit"), "no config.data.packing 'bestfit'. Did you mean 'best_fit'"),
        (dict(length=1), "at least 2 tokens"),
        (dict(batch_size=3, process=(0, 2)), "does not divide over 2 processes"),
        (dict(path=None), "--config.data.path=FILE_OR_FOLDER"),
        (dict(path="/nowhere"), "no file or folder /nowhere"),
        (dict(tokenizer=None), "config.data.tokenizer is missing"),
        (dict(tokenizer=dict(name="words")), "cleans text"),
        (dict(split="vall"), "no split 'vall'. Did you mean 'val'"),
        (dict(split="train[hash :50%]"), "needs a reader"),
        (dict(corpora=(dict(path="x", wieght=1),)), "no key 'wieght'. Did you mean 'weight'"),
        (dict(fingerprint="f" * 20), "not the data that config.data.fingerprint names"),
        (dict(dataset="nothing", path=None), "nothing is not prepared"),
    ],
)
def test_what_a_user_can_get_wrong_is_said(source, changes, complaint):
    with pytest.raises(UserError, match=complaint.replace("[", r"\[")):
        source(**changes)


def test_weights_are_for_all_corpora_or_none(source, tmp_path):
    other = write(tmp_path / "other.jsonl", documents(9))
    with pytest.raises(UserError, match="give all of them one"):
        source(corpora=(dict(path=str(other), weight=1), dict(path=str(tmp_path / "own.jsonl"))))


def test_files_named_after_splits_are_these_splits(tmp_path, data_dir):
    write(tmp_path / "train.jsonl", documents(20))
    write(tmp_path / "val.jsonl", ["the mat\n"] * 3)
    options = dict(path=str(tmp_path), tokenizer=BPE, length=64, batch_size=1, data_dir=data_dir)
    val = Source(**options, split="val", training=False, packing="documents")
    assert [text for text, _ in segments(epoch(val), val)] == ["the mat\n"] * 3
    write(tmp_path / "other.jsonl", ["x"])
    with pytest.raises(UserError, match="other.jsonl is not"):
        Source(**options)
    assert os.path.exists(tmp_path / "val.jsonl")


def test_a_reader_is_cut_into_the_very_examples_that_a_classifier_has(data_dir):
    from bigmodel_jax.data import text

    reader = dict(name="synthetic_reviews", train_size=60, test_size=5)
    splits = dict(train="train[hash :70%]", val="train[hash 70%:]", test="test")
    options = dict(reader=reader, splits=splits, batch_size=4, data_dir=data_dir, training=False)
    classified = text.Source(**options, tokenizer=dict(name="words"), max_length=64, split="val")
    made = Source(**options, tokenizer=BPE, length=512, packing="documents", split="val")
    texts = [found for found, _ in segments(epoch(made), made)]
    assert sorted(texts) == sorted(classified.texts(range(classified.examples)))
