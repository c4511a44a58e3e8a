"""configs/own_text.py: every model, target and tokenizer, from a file to a report and a prediction."""

import csv
import json
import random

import pytest

from bigmodel_jax.apply import load_run
from bigmodel_jax.errors import UserError
from bigmodel_jax.evaluate import evaluate
from bigmodel_jax.train import train
from configs import own_text

WORDS = ["red", "green", "blue", "round", "square", "flat", "old", "new"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file for each target: the words say which shape, which colours, how much."""
    folder, rng = tmp_path_factory.mktemp("texts"), random.Random(0)
    rows: dict[str, list] = {"class": [], "labels": [], "number": [], "pair": []}
    for i in range(80):
        words = rng.choices(WORDS, k=rng.randint(4, 9)) + [("round", "square")[i % 2]]
        text = " ".join(words)
        rows["class"].append((text, words[-1]))
        rows["labels"].append((text, ",".join(sorted({*words} & {*WORDS[:3]}))))
        rows["number"].append((text, 1.5 * words.count("old") - words.count("new") + i / 1000))
        rows["pair"].append((text, words[-1], rng.choice(WORDS[3:5])))
    for name, lines in rows.items():
        with open(folder / f"{name}.csv", "w", newline="") as file:
            header = ("text", "label", "other")[: len(lines[0])]
            csv.writer(file).writerows([header, *lines])
    return folder


def run(arg, path, tmp_path, data_dir, **data):
    config = own_text.get_config(arg)
    config.data.update(path=str(path), **data)
    config.duration = "2 epochs"
    train(config.to_dict(), str(tmp_path / "run"), data_dir=data_dir)
    assert (tmp_path / "run" / "report.html").is_file()
    if "fold" in arg:
        rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
        return {k.removeprefix("val/"): v for row in map(json.loads, rows) for k, v in row.items()}
    return json.loads((tmp_path / "run" / "results" / "test.json").read_text())["metrics"]


@pytest.mark.parametrize(
    "arg, metric",
    [
        ("tiny,bag", "accuracy"),
        ("tiny,textcnn,tokenizer=bpe", "accuracy"),
        ("tiny,bag,target=labels", "f1_micro"),
        pytest.param(
            "tiny,transformer,tokenizer=wordpiece,target=labels", "f1_micro", marks=pytest.mark.slow
        ),
        pytest.param("tiny,bilstm,tokenizer=unigram,target=number", "rmse", marks=pytest.mark.slow),
        ("tiny,bag,target=number,fold=2/4", "rmse"),
        ("tiny,lstm,fold=1/3", "accuracy"),
    ],
)
def test_a_file_becomes_a_report_and_predictions(arg, metric, files, tmp_path, data_dir):
    target = next((t for t in ("labels", "number") if t in arg), "class")
    assert metric in run(arg, files / f"{target}.csv", tmp_path, data_dir)
    with load_run(tmp_path / "run") as applied:
        answers = applied.predict(["an old red round thing", ""])
        assert len(answers) == 2


def test_pairs_of_texts_are_a_column_more(files, tmp_path, data_dir):
    metrics = run("tiny,textcnn", files / "pair.csv", tmp_path, data_dir, pair_column="other")
    assert "accuracy" in metrics


def test_rare_classes_can_be_drawn_more_often_and_texts_be_changed(files, tmp_path, data_dir):
    transforms = (
        dict(name="word_dropout", rate=0.1),
        dict(name="swap", rate=0.1),
        dict(name="mask_tokens", rate=0.1),
    )
    data = dict(balance=True, transforms=transforms)
    assert "accuracy" in run("tiny,textcnn", files / "class.csv", tmp_path, data_dir, **data)


def test_embeddings_start_from_a_file_of_word_vectors(files, tmp_path, data_dir, capsys):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("".join(f"{word} {'0.5 ' * 15}0.5\n" for word in WORDS))
    data = dict(word_vectors=str(vectors))
    run("tiny,textcnn", files / "class.csv", tmp_path, data_dir, **data)
    assert "vectors of 8 of 12 words" in capsys.readouterr().out


def test_a_published_tokenizer_that_has_changed_is_refused(files, tmp_path, data_dir):
    run("tiny,textcnn,tokenizer=bpe", files / "class.csv", tmp_path / "first", data_dir)
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_bytes((tmp_path / "first/run/assets/tokenizer.json").read_bytes())
    config = own_text.get_config("tiny,textcnn,tokenizer=published")
    config.data.path, config.data.tokenizer.path = str(files / "class.csv"), str(tokenizer)
    config.duration = "2 epochs"
    train(config.to_dict(), str(tmp_path / "run"), data_dir=data_dir)

    content = tokenizer.read_text()
    tokenizer.write_text(content.replace('"red"', '"crimson"') + "\n")
    with pytest.raises(UserError, match="is not the data that config.data.fingerprint names"):
        evaluate(str(tmp_path / "run"), "test", data_dir)
    tokenizer.unlink()
    with load_run(tmp_path / "run") as applied:  # its own copy is enough
        assert len(applied.predict(["an old red round thing"])) == 1


@pytest.mark.parametrize("arg", ["target=labls", "tokenizer=bep"])
def test_a_misspelt_word_is_told(arg):
    with pytest.raises(UserError, match="Did you mean"):
        own_text.get_config(arg)
