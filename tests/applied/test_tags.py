"""A tagger's answers to texts are those that its evaluation counts."""

import json

import numpy as np
import pytest

from bigmodel_jax import config, predict
from bigmodel_jax.applied.base import load_answers
from bigmodel_jax.data import tagged
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals import tagging_metrics
from bigmodel_jax.evaluate import evaluate
from bigmodel_jax.models import bert
from bigmodel_jax.train import train

pytestmark = pytest.mark.slow

KINDS = {
    "entities": (dict(name="words", vocabulary_size=60), ("O", "B-PER", "I-PER")),
    "speech": (dict(name="raw", kind="bpe", vocabulary_size=270), ("WORD", "FIRST", "LAST")),
}


def write(path, tags):
    """Sentences in which a name, of one word or two, comes after "Mr.": some longer than a row."""
    rng, lines = np.random.default_rng(0), []
    other, first, last = tags
    plain, names = ["the", "a", "dog", "ran", "home", "saw"], ["Ann", "Bob", "Cid", "Dee"]
    for _ in range(200):
        for _ in range(rng.integers(1, 6)):
            lines += [f"{word}\t{other}" for word in rng.choice(plain, rng.integers(1, 4))]
            lines += [f"Mr.\t{other}", f"{rng.choice(names)}\t{first}"]
            lines += [f"{rng.choice(names)}\t{last}"] if rng.random() < 0.5 else []
        lines += [f".\t{other}", ""]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module", params=list(KINDS))
def run(request, tmp_path_factory, data_dir):
    """(its directory, its file)."""
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer, tags = KINDS[request.param]
    write(folder / "train.txt", tags)
    settings = {
        "data": {
            "name": "conll",
            "path": str(folder / "train.txt"),
            "tokenizer": tokenizer,
            "max_length": 40,
            "batch_size": 16,
            "splits": {"train": "train[:80%]", "test": "train[80%:]"},
        },
        "model": {"name": "bert", "head": "tag", **bert.VARIANTS["tiny"]},
        "task": {"name": "tag"},
        "optimizer": {"name": "adam", "lr": 1e-2},
        "evals": {"test": {"name": "tagging", "split": "test"}},
        "duration": "2 epochs",
    }
    train(config.plain(settings), str(folder / "run"), data_dir=data_dir)
    return str(folder / "run"), folder / "train.txt"


def rows_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_answers_to_a_files_own_sentences_have_the_score_of_the_evaluation(run, data_dir, capsys):
    workdir, file = run
    sentences = list(tagged.read(file))[160:]
    texts = [" ".join(sentence.words) for sentence in sentences]
    capsys.readouterr()
    assert predict.predict(workdir, texts, 16, "jsonl") == len(texts)
    out, said = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["tokens"] for row in rows] == [sentence.words for sentence in sentences]
    pairs = [(s.tags, row["tags"]) for s, row in zip(sentences, rows, strict=True)]
    names = sorted({tag for tags, _ in pairs for tag in tags})
    found = tagging_metrics.compute(pairs, names)
    expected = evaluate(workdir, "test", data_dir)["metrics"]
    assert found == {name: pytest.approx(expected[name]) for name in found}
    assert ("were read in parts" in said) == ("speech" in workdir)  # its pieces are many


def test_an_entity_is_a_part_of_its_text(run, capsys):
    workdir, _ = run
    texts = ["The  dog saw Mr. Ann Bob, and Mr. Cid.", "", "Dee"]
    predict.predict(workdir, texts, 8, "jsonl")
    rows = rows_of(capsys)
    assert [row["text"] for row in rows] == texts and rows[1]["tokens"] == rows[1]["tags"] == []
    for row in rows:
        entities = row.get("entities", [])
        assert len(entities) == len(tagging_metrics.entities(row["tags"]))
        for entity in entities:
            assert row["text"][entity["start"] : entity["end"]] == entity["text"]
    predict.predict(workdir, texts, 8, "table")
    head, *lines = capsys.readouterr().out.splitlines()
    if "speech" in workdir:
        assert "tags" in head and "entities" not in rows[0]
        assert lines[0].split()[:2] == ["The", f"{rows[0]['tags'][0]},"]
    else:
        assert "entities" in head
        assert rows[0]["entities"][0]["text"] in lines[0] and "Dee" in lines[-1]


def test_the_tags_are_those_of_the_model_applied_to_one_text_alone(run):
    text, lossless = "the dog saw Mr. Ann home", "speech" in run[0]
    with load_answers(run[0]) as applied:
        # Of a tokenizer that keeps them, the space before a word is of its pieces.
        parts = [f" {word}" if i and lossless else word for i, word in enumerate(text.split())]
        pieces = [applied._tokenizer.encode(part) for part in parts]
        rows = np.repeat(np.concatenate(pieces)[None], applied.rows, 0)  # one for each device
        logits = applied.task.model.apply({"params": applied.variables["params"]}, rows)
        firsts = np.cumsum([0, *map(len, pieces[:-1])])
        expected = [applied.label_names[i] for i in np.asarray(logits[0].argmax(-1))[firsts]]
        many = applied.answers(["a dog ran", text, "", "Mr. Bob"], 8)
    assert [len(answer.tags) for answer in many] == [3, 6, 0, 2]
    assert list(many[1].tags) == expected


def test_tags_are_not_explained(run):
    with pytest.raises(UserError, match="--explain is of a label or a number.*'tag'"):
        predict.predict(run[0], ["Ann"], 8, "table", predict.Explaining())
    with pytest.raises(UserError, match="leave out --pair_text"):
        predict.predict(run[0], [("Ann", "Bob")], 8, "table")
    with pytest.raises(UserError, match="half of a character"):
        predict.predict(run[0], ["a\udcff"], 8, "table")
