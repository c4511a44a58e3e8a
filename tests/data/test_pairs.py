"""Pairs of texts as batches: whole, once an epoch, packed tightly, mixed, from any kind of file."""

import csv
import json

import numpy as np
import pytest

from bigmodel_jax.data.pair_packing import exchanged, pack
from bigmodel_jax.data.pairs import START, Source
from bigmodel_jax.data.readers import synthetic_articles
from bigmodel_jax.errors import UserError

TOKENIZER = {"name": "raw", "kind": "bpe", "vocabulary_size": 300}
READER = {"name": "synthetic_translations", "train_size": 60, "test_size": 12}


def make(data_dir, **options):
    usual = dict(tokenizer=TOKENIZER, source_length=48, target_length=40, batch_size=4)
    usual |= {} if "path" in options or "corpora" in options else {"reader": READER}
    return Source(**{**usual, **options}, data_dir=data_dir)


def written(source, batch):
    """The pairs of a batch as texts, row by row."""
    found = []
    for row in range(len(batch["source"])):
        for number in range(1, batch["segments"][row].max() + 1):
            here = batch["segments"][row] == number
            read = batch["source"][row][batch["source_segments"][row] == number]
            tokens, targets = batch["tokens"][row][here], batch["targets"][row][here]
            assert batch["mask"][row][here].all() and tokens[0] == START
            np.testing.assert_array_equal(tokens[1:], targets[:-1])
            assert read[-1] == targets[-1] == source.tokenizer.separator
            np.testing.assert_array_equal(batch["positions"][row][here], np.arange(len(tokens)))
            found.append((source.tokenizer.decode(read), source.tokenizer.decode(targets)))
    return found


def epoch(source, number=0):
    steps = range(number * source.steps_per_epoch, (number + 1) * source.steps_per_epoch)
    return [pair for step in steps for pair in written(source, source.batch(step))]


def test_every_pair_comes_once_an_epoch_in_another_order_and_other_company(data_dir):
    source = make(data_dir)
    first, second = epoch(source), epoch(source, 1)
    assert sorted(first) == sorted(second) == sorted(tuple(pair) for pair in source.pairs)
    assert first != second
    evaluated = make(data_dir, training=False, split="val")
    assert sorted(epoch(evaluated)) == sorted(tuple(pair) for pair in evaluated.pairs)
    assert epoch(evaluated) == epoch(evaluated, 3)
    assert evaluated.tokens == sum(
        int(evaluated.batch(i)["mask"].sum()) for i in range(evaluated.steps_per_epoch)
    )


def test_the_batch_of_a_step_depends_on_seed_and_step_alone(data_dir):
    one, other = make(data_dir), make(data_dir)
    later = one.batch(17)
    for key, value in other.batch(17).items():
        np.testing.assert_array_equal(value, later[key])
    assert written(one, make(data_dir, seed=1).batch(17)) != written(one, later)


def test_rows_are_full_and_hold_no_more_than_they_have_room_for():
    rng = np.random.default_rng(0)
    source, target = rng.integers(2, 30, (2, 500))
    packed = pack(source, target, (64, 64))
    assert sorted(packed.members.tolist()) == list(range(500))
    rows = range(len(packed.offsets) - 1)
    sums = np.array([[side[packed.row(i)].sum() for i in rows] for side in (source, target)])
    assert sums.max() <= 64 and sums.min() > 0
    best = max(source.sum(), target.sum()) / 64  # no fewer rows are enough
    assert len(rows) < 1.12 * best


def test_pairs_change_places_with_such_of_the_same_lengths():
    rng = np.random.default_rng(0)
    source, target = rng.integers(1, 5, (2, 300))
    found = exchanged(source, target, (0, 1))
    assert sorted(found.tolist()) == list(range(300)) and (found != np.arange(300)).mean() > 0.8
    np.testing.assert_array_equal(source[found], source)
    np.testing.assert_array_equal(target[found], target)


PAIRS = [(f"read {i}, please", f"wrote {i}") for i in range(20)]


def write(path, pairs, names=("source", "target")):
    if path.suffix == ".jsonl":
        rows = [json.dumps(dict(zip(names, pair, strict=True))) for pair in pairs]
        path.write_text("\n".join(rows) + "\n")
    else:
        with path.open("w", newline="") as file:
            delimiter = "\t" if path.suffix == ".tsv" else ","
            csv.writer(file, delimiter=delimiter).writerows([names, *pairs])
    return str(path)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_pairs_are_read_from_any_kind_of_file(kind, tmp_path, data_dir):
    path = write(tmp_path / f"pairs.{kind}", PAIRS, ("q", "a"))
    columns = {"source_column": "q", "target_column": "a"}
    source = make(data_dir, path=path, prefix="answer: ", **columns, splits={"train": "train"})
    want = [(f"answer: {read}", target) for read, target in PAIRS]
    assert [tuple(pair) for pair in source.pairs] == want
    assert sorted(epoch(source)) == sorted(want)


def test_files_named_after_splits_are_these_splits(tmp_path, data_dir):
    for name, part in (("train", PAIRS[:12]), ("val", PAIRS[12:16]), ("test", PAIRS[16:])):
        write(tmp_path / f"{name}.jsonl", part)
    for split, count in (("train", 12), ("val", 4), ("test", 4)):
        assert len(make(data_dir, path=str(tmp_path), split=split).pairs) == count


def test_a_reader_of_articles_gives_what_its_files_in_the_published_layout_give(tmp_path, data_dir):
    synthetic_articles.write(str(tmp_path / "news"), train_size=30, test_size=5)
    options = {"source_column": "article", "target_column": "highlights", "prefix": "summarize: "}
    options |= {"source_length": 256, "target_length": 96}
    reader = {"name": "synthetic_articles", "train_size": 30, "test_size": 5}
    for split, count in (("train", 30), ("val", 5), ("test", 5)):
        made = make(data_dir, reader=reader, split=split, **options)
        from_files = make(data_dir, path=str(tmp_path / "news"), split=split, **options)
        assert made.pairs == from_files.pairs and len(made.pairs) == count
    with pytest.raises(UserError, match="example 0: source and target are strings, not None"):
        make(data_dir, reader=reader, **{**options, "source_column": "text"})


def test_corpora_are_mixed_by_weights_each_with_its_prefix(tmp_path, data_dir):
    corpora = [
        dict(path=write(tmp_path / f"{name}.tsv", pairs), prefix=f"{name}: ", weight=weight)
        for name, pairs, weight in (("few", PAIRS[:4], 1.0), ("many", PAIRS * 5, 1.0))
    ]
    source = make(data_dir, corpora=corpora, splits={"train": "train"})
    kinds = [read.split(":")[0] for number in range(4) for read, _ in epoch(source, number)]
    assert 0.35 < kinds.count("few") / len(kinds) < 0.65
    plain = [{k: v for k, v in corpus.items() if k != "weight"} for corpus in corpora]
    even = epoch(make(data_dir, corpora=plain, splits={"train": "train"}))
    assert len(even) == 104


def test_a_longer_text_is_cut_and_keeps_its_end(tmp_path, data_dir, capsys):
    path = write(tmp_path / "pairs.jsonl", [*PAIRS, ("many words " * 40, "yes " * 40)])
    source = make(data_dir, path=path, splits={"train": "train"})
    assert "NOTE: 2 texts are longer" in capsys.readouterr().out
    rows = [source.batch(i) for i in range(source.steps_per_epoch)]
    assert max((batch["source"] > 0).sum(1).max() for batch in rows) == 48
    epoch(source)  # every source and target ends with the separator


@pytest.mark.parametrize(
    "options, message",
    [
        ({"path": "nowhere.tsv"}, "no file or folder nowhere.tsv"),
        ({"reader": {"name": "synthetic_reviews"}}, "holds single texts"),
        ({"source_length": 1}, "at least 2 tokens"),
        ({"batch_size": 3, "process": (0, 2)}, "does not divide over 2"),
        ({"corpora": ({"paths": "x"},)}, "no key 'paths'. Did you mean 'path'"),
        ({"tokenizer": {"name": "characters"}}, "no separator"),
        ({"split": "vall"}, "Did you mean 'val'"),
        ({"fingerprint": "0" * 64}, "is not the data"),
    ],
)
def test_what_is_wrong_is_told(options, message, data_dir):
    with pytest.raises(UserError, match=message):
        make(data_dir, **options)


@pytest.mark.parametrize(
    "line, message",
    [
        ('{"source": "a"}', "line 1 has no 'target'. There are: source"),
        ('{"source": "a", "target": 3}', "line 1: source and target are strings, not 3"),
        ('{"source": "a", "target": "\\ud800"}', "half of a character"),
    ],
)
def test_a_line_that_is_no_pair_is_told(line, message, tmp_path, data_dir):
    path = tmp_path / "pairs.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UserError, match=message):
        make(data_dir, path=str(path), splits={"train": "train"})
