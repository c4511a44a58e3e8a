"""A run is applied from its directory: evaluate repeats its numbers, predict its probabilities."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.cells import cell_len

from bigmodel_jax import predict
from bigmodel_jax.apply import load_run
from bigmodel_jax.config import build
from bigmodel_jax.data import encoding
from bigmodel_jax.errors import UserError
from bigmodel_jax.evaluate import evaluate, file_name, record
from bigmodel_jax.explanations import answers
from bigmodel_jax.train import train
from configs import imdb, own_text
from tests.strains import toy_texts

ROOT = Path(__file__).resolve().parent.parent
TEXTS = [
    "I really loved the plot.",
    "",
    "My brother hated the ending, but I adored the music. " * 9,
]


def tiny_config():
    config = imdb.get_config("lstm,tiny").to_dict()
    config["duration"] = "2 epochs"
    config["data"]["batch_size"] = 64
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory, data_dir):
    """The directory of a run whose best checkpoint may be older than its newest."""
    workdir = tmp_path_factory.mktemp("runs") / "best"
    train(tiny_config(), str(workdir), data_dir=data_dir)
    return workdir


@pytest.fixture(scope="module")
def averaged(tmp_path_factory, data_dir):
    """The directory of a run that evaluates an average of its last parameters; of all devices."""
    workdir = tmp_path_factory.mktemp("runs") / "averaged"
    config = {**tiny_config(), "ema": 0.9, "early_stopping": {}, "duration": "1 epochs"}
    config["mesh"] = {"data": jax.device_count()}
    train(config, str(workdir), data_dir=data_dir)
    return workdir


@pytest.mark.parametrize("name", ["run", "averaged"])
def test_evaluate_agrees_exactly_with_what_the_run_recorded(name, request, data_dir):
    workdir = request.getfixturevalue(name)
    recorded = json.loads((workdir / "results" / "test.json").read_text())
    result = evaluate(str(workdir), "test", data_dir)
    assert result["metrics"] == recorded["metrics"]
    assert result["details"]["confusion_matrix"] == recorded["confusion_matrix"]
    assert result["prefix"] == "synthetic_reviews/"
    before = (workdir / "results" / "test.json").stat().st_mtime_ns
    assert "the same numbers" in record(str(workdir), result)
    assert (workdir / "results" / "test.json").stat().st_mtime_ns == before


def test_evaluate_repeats_the_best_validation_of_the_run(run, data_dir):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    name = "synthetic_reviews/val/accuracy"
    best = max(row[name] for row in rows if name in row)
    assert evaluate(str(run), "val", data_dir)["metrics"]["accuracy"] == best


def test_evaluate_takes_a_slice_and_another_batch_size(run, data_dir):
    result = evaluate(str(run), "test[:50]", data_dir, batch_size=24)
    assert result["details"]["examples"] == 50
    written = record(str(run), result)
    assert str(run / "results" / "test_-to-50.json") in written
    assert json.loads((run / "results" / "test_-to-50.json").read_text())["examples"] == 50


def test_slices_that_differ_have_names_that_differ():
    names = {
        "test": "test",
        "test[:10]": "test_-to-10",
        "test[:10%]": "test_-to-10pct",
        "test[10:]": "test_10-to-",
        "test[10%:]": "test_10pct-to-",
        "test[-10:]": "test_-10-to-",
        "test[ : -10 ]": "test_-to--10",
        "test[10:20]": "test_10-to-20",
        "train[fold 2/5]": "train_fold_2of5",
        "train[not fold 2/5]": "train_not_fold_2of5",
        "train[hash :90%]": "train_hash-to-90pct",
        "train[hash 90%:]": "train_hash_90pct-to-",
        "val/of texts": "val~2fof~20texts",
    }
    assert {name: file_name(name) for name in names} == names
    assert len(set(names.values())) == len(names)


def test_evaluate_leaves_the_numbers_of_the_run_as_they_are(run, data_dir):
    result = evaluate(str(run), "test", data_dir)
    path = run / "results" / "test.json"
    before = path.read_text()
    other = {**result, "metrics": {**result["metrics"], "loss": 0.5}}
    assert f"loss {result['metrics']['loss']} -> 0.5" in record(str(run), other)
    assert path.read_text() == before


def test_evaluate_names_the_splits_there_are(run, data_dir):
    with pytest.raises(UserError, match="no split 'tset'. Did you mean 'test'"):
        evaluate(str(run), "tset", data_dir)


def test_predict_gives_the_probabilities_of_the_evaluation(run, data_dir):
    expected = evaluate(str(run), "test", data_dir)["details"]["probabilities"]
    with load_run(run) as applied:
        reader = build("data.readers", applied.config["data"]["reader"])
        texts = [x["text"] for x in reader.examples("test")]
        found = np.concatenate([applied.predict(b, 40) for b in predict.batches(texts, 40)])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_text_without_words_gets_an_answer_and_a_mark(run, capsys, monkeypatch):
    predict.predict(str(run), ["", "<br />"], 8, "jsonl")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(row["empty"] for row in rows)
    assert sum(rows[0]["probabilities"].values()) == pytest.approx(1)
    assert rows[0]["probabilities"] == rows[1]["probabilities"]
    encoded = []
    encode = encoding.encode

    def counted(texts, *rest):
        encoded.append(sum(text == "fine" for text in texts))
        return encode(texts, *rest)

    monkeypatch.setattr(encoding, "encode", counted)
    predict.predict(str(run), ["", "fine"], 8, "table")
    assert sum(encoded) == 1
    assert "no words" in capsys.readouterr().out


def rows_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_explanation_goes_with_every_row(run, capsys, tmp_path):
    explaining = predict.Explaining(page=str(tmp_path / "e.html"))
    long = " ".join(["loved", *["the"] * 99, "hated"])
    predict.predict(str(run), ["I loved Zyx!", "", long], 2, "jsonl", explaining)
    plain, empty, cut = rows_of(capsys)
    assert [token for token, _ in plain["explanation"]][:2] == ["i", "loved"]
    assert plain["explained"] == plain["label"]
    for row in (plain, empty, cut):
        total = sum(value for _, value in row["explanation"])
        assert total == pytest.approx(row["completeness"]["sum"])
        assert total == pytest.approx(row["completeness"]["difference"], abs=1e-3, rel=0.01)
    assert empty["explanation"] == [] and "not_read" not in plain
    assert len(cut["explanation"]) == 64 and cut["not_read"] == 101 - 64  # config.data.max_length
    assert cut["explanation"][-1][0] == "hated"  # and config.data.keep
    assert (tmp_path / "e.html").read_text().count("<section>") == 3


def test_the_class_to_explain_has_a_name(run, capsys):
    sums = []
    for name in ("neg", "pos"):
        predict.predict(str(run), [TEXTS[0]], 1, "jsonl", predict.Explaining(name))
        sums.append(rows_of(capsys)[0]["completeness"]["difference"])
    assert sums[0] == pytest.approx(-sums[1], abs=1e-4)
    with pytest.raises(UserError, match="--explain_class=poss. Did you mean"):
        predict.predict(str(run), [TEXTS[0]], 1, "jsonl", predict.Explaining("poss"))


def test_explanations_are_the_same_on_another_number_of_devices(averaged):
    """Eight devices share the points of the quadrature; the answer is that of the run."""
    with load_run(averaged) as applied:
        assert applied.mesh.devices.size == 8
        found = applied.explain(TEXTS[2], 1).attribution
        p = applied.predict([TEXTS[2]])[0]
    assert found.complete
    # The run computes in bfloat16, its explanation in float32.
    assert found.at_input == pytest.approx(np.log(p[1] / p[0]), abs=0.05)


@pytest.fixture(scope="module")
def toys(tmp_path_factory, data_dir):
    """Directories of runs on every kind of target."""
    kinds = {
        "labels": ("multilabel", dict(target="labels", longest=6), "multilabel"),
        "number": ("regress", dict(target="number", max_length=12), "regression"),
        "pairs": ("classify", dict(pairs=True), "classification"),
    }
    folder = tmp_path_factory.mktemp("toys")
    for name, (task, data, evaluator) in kinds.items():
        config = dict(
            data=toy_texts.data(**data),
            model=dict(name="bag", width=16, n=1, buckets=64, pooling="sum"),
            task=dict(name=task),
            optimizer=dict(name="adam", lr=3e-2),
            evals=dict(val=dict(name=evaluator, split="val", every="end")),
            duration="15 epochs",
        )
        train(config, str(folder / name), data_dir=data_dir)
    return folder


@pytest.mark.slow
def test_of_several_labels_those_that_hold_are_printed(toys, capsys):
    texts = ["elm fir birch", "ash"]
    predict.predict(str(toys / "labels"), texts, 8, "jsonl", predict.Explaining("fir"))
    for row in rows_of(capsys):
        likely = {name for name, p in row["probabilities"].items() if p > 0.5}
        assert set(row["labels"]) == likely and row["explained"] == "fir"
        assert max(row["explanation"], key=lambda item: item[1])[0] in ("fir", "ash")
    predict.predict(str(toys / "labels"), texts, 8, "table")
    assert "labels" in (out := capsys.readouterr().out) and "fir" in out.splitlines()[1]


def test_a_number_is_printed_and_explained_in_its_own_unit(toys, capsys):
    """It is a sum of a worth of each word that occurs, see toy_texts."""
    text = "elm fir birch elm ash ash"
    expected = toy_texts.Reader(target="number")._worth(text.split())
    predict.predict(str(toys / "number"), [text], 8, "jsonl", predict.Explaining())
    row = rows_of(capsys)[0]
    assert row["value"] == pytest.approx(expected, rel=0.1) and "label" not in row
    with load_run(toys / "number") as applied:
        parts = applied.explain(text).attribution
    assert parts.at_input == pytest.approx(row["value"], rel=1e-5)
    worth = dict(reversed(row["explanation"]))  # the first "elm" counts
    assert worth["ash"] < worth["birch"] < worth["elm"] < worth["fir"]
    predict.predict(str(toys / "number"), [text], 8, "table")
    assert "value" in (out := capsys.readouterr().out) and f"{row['value']:.4g}" in out
    predict.predict(str(toys / "number"), [text], 8, "table", predict.Explaining())
    assert f"value {row['value']:.4g}" in capsys.readouterr().out


def test_pairs_come_together_or_with_a_tab_between(toys, capsys):
    pair = ("elm fir", "elm ash")
    run = str(toys / "pairs")
    texts = [pair, "\t".join(pair)]
    predict.predict(run, texts, 8, "jsonl", predict.Explaining(), tabs=True)
    first, second = rows_of(capsys)
    assert first == second
    assert (first["text"], first["pair"]) == pair
    tokens = [token for token, _ in first["explanation"]]
    assert tokens == ["elm", "fir", "<separator>", "elm", "ash"]
    for text, tabs in (("elm fir", True), ("elm\tfir", False)):  # of a table, a tab is of the text
        with pytest.raises(UserError, match="reads pairs of texts: give a --pair_text"):
            predict.predict(run, [text], 8, "table", tabs=tabs)
    long = ("elm " * 20, "ash " * 30)
    predict.predict(run, [long], 8, "table", predict.Explaining())
    out = " ".join(capsys.readouterr().out.split())
    assert "elm elm elm [... 17 tokens not read ...] <separator> ash ash ash" in out
    assert "[... 26 tokens not read ...]" in out


def test_a_pair_for_a_run_on_single_texts_is_refused(run):
    with pytest.raises(UserError, match="leave out --pair_text and --pair_column"):
        predict.predict(str(run), [("a", "b")], 8, "table")


def test_rows_appear_as_batches_finish(run, capsys):
    printed = []

    def texts():
        for i in range(6):
            printed.append(len(capsys.readouterr().out.splitlines()))
            yield f"text {i}"

    assert predict.predict(str(run), texts(), 2, "jsonl") == 6
    assert printed == [0, 0, 2, 0, 2, 0]


def test_the_command_reads_stdin_on_another_number_of_devices(averaged):
    """Only JSON on standard output, a line for each line of input, an empty one too."""
    with load_run(averaged) as applied:
        expected = applied.predict(TEXTS)
    done = subprocess.run(
        [sys.executable, "-m", "bigmodel_jax.predict", f"--workdir={averaged}", "--format=jsonl"],
        input="\n".join(TEXTS) + "\n",
        env={**os.environ, "XLA_FLAGS": "", "BIGMODEL_ALLOCATOR": "default"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    assert [row["label"] for row in rows] == [("neg", "pos")[i] for i in expected.argmax(-1)]
    found = [list(row["probabilities"].values()) for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert "synthetic_reviews" in done.stderr


def write_csv(path: Path, rows, header=("review", "stars")) -> Path:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.mark.parametrize("variant", ["bag", "lstm"])
def test_from_ones_own_csv_to_predictions_without_code(variant, tmp_path, data_dir):
    words = {"1": ("awful", "slow"), "5": ("great", "tasty"), "3": ("average", "fair")}
    rows = [
        (f"It was {w}, so {w}, {i}", k)
        for i in range(20)
        for k, pair in words.items()
        for w in pair
    ]
    config = own_text.get_config(f"{variant},tiny")
    config.data.path = str(write_csv(tmp_path / "meals.csv", rows))
    config.data.text_column, config.data.label_column = "review", "stars"
    config.optimizer.lr, config.duration = 3e-2, "12 epochs"
    workdir = tmp_path / "run"
    train(config.to_dict(), str(workdir), data_dir=data_dir)
    assert evaluate(str(workdir), "test", data_dir)["metrics"]["accuracy"] == 1.0

    (tmp_path / "meals.csv").unlink()  # prediction needs none of the data
    with load_run(workdir) as applied:
        assert applied.label_names == ("1", "3", "5")
        found = applied.predict(["It was great, so tasty", "awful, awful", "so average"]).argmax(-1)
    np.testing.assert_array_equal(found, [2, 0, 1])


def test_evaluate_refuses_data_that_is_not_that_of_the_run(tmp_path, data_dir):
    rows = [("good " + str(i), "yes") for i in range(30)] + [
        ("bad " + str(i), "no") for i in range(30)
    ]
    config = own_text.get_config("bag,tiny")
    config.data.path = str(write_csv(tmp_path / "own.csv", rows, ("text", "label")))
    workdir = tmp_path / "run"
    train(config.to_dict(), str(workdir), data_dir=data_dir)
    write_csv(tmp_path / "own.csv", [*rows, ("good", "yes")], ("text", "label"))
    with pytest.raises(UserError, match="own here is not the data"):
        evaluate(str(workdir), "test", data_dir)


def test_a_file_is_read_as_its_extension_says(tmp_path):
    table = write_csv(tmp_path / "a.csv", [('of "two"\nlines', 1), ("", 0)])
    assert list(predict.read(table, "review")) == ['of "two"\nlines', ""]
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": "two", "id": 3}\n')
    assert list(predict.read(tmp_path / "a.jsonl")) == ["one", "two"]
    pairs = write_csv(tmp_path / "b.csv", [("one", "two"), ("", "")], ("a", "b"))
    assert list(predict.read(pairs, "a", "b")) == [("one", "two"), ("", "")]
    (tmp_path / "a.txt").write_text("one\ttwo\n\nthree")
    assert list(predict.read(tmp_path / "a.txt")) == ["one\ttwo", "", "three"]


def test_what_cannot_be_read_is_named_with_its_line(tmp_path):
    with pytest.raises(UserError, match="no file .*absent.txt"):
        list(predict.read(tmp_path / "absent.txt"))
    with pytest.raises(UserError, match="line 1 has no column 'text'. There are: review, stars"):
        list(predict.read(write_csv(tmp_path / "a.csv", [("x", 1)])))
    with pytest.raises(UserError, match="no column 'x'.* Name it with --pair_column=COLUMN."):
        list(predict.read(tmp_path / "a.csv", "review", "x"))
    (tmp_path / "b.txt").write_bytes(b"fine\n\xff\xfe\n")
    with pytest.raises(UserError, match="b.txt line 2 is not UTF-8"):
        list(predict.read(tmp_path / "b.txt"))


def test_a_file_without_columns_has_no_pair_column(tmp_path):
    (tmp_path / "a.txt").write_text("one\ttwo\n")
    with pytest.raises(UserError, match="a.txt has no columns: leave out --pair_column"):
        list(predict.read(tmp_path / "a.txt", pair_column="b"))


def test_a_label_of_exactly_one_half_holds_as_it_does_in_the_metrics():
    meaning = answers.Meaning("labels", ("a", "b", "c"))
    assert meaning.chosen(np.array([0.5, 0.49, 0.9], np.float32)) == [2, 0]


@pytest.mark.parametrize("names", [["很好" * 30, "b"], ["long " * 30, "b"], list("abcde")])
def test_the_texts_have_room_in_a_table_whatever_the_labels_are(names, capsys):
    values = np.eye(len(names))[0]
    answers.table(answers.Meaning("class", names))([answers.Answer("a text", values, False)])
    out = capsys.readouterr().out
    assert "a text" in out and max(map(cell_len, out.splitlines())) <= 80


def test_a_table_of_many_classes_shows_the_chosen_one(capsys):
    names = [f"class{c}" for c in range(9)]
    answers.table(answers.Meaning("class", names))([answers.Answer("a text", np.eye(9)[4], False)])
    out = capsys.readouterr().out
    assert "probability" in out and "class4" in out and "class5" not in out


def test_standard_input_that_is_empty_is_an_error(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert list(predict._stdin()) == []
    assert predict.predict(str(run), [], 8, "jsonl") == 0
