"""Answers to questions from anywhere are those that the evaluation counts."""

import json

import pytest

from bigmodel_jax import config, predict
from bigmodel_jax.data import questions
from bigmodel_jax.data.readers import synthetic_facts
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals import span_metrics
from bigmodel_jax.evaluate import evaluate
from bigmodel_jax.models import bert
from bigmodel_jax.train import train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[0.0, 0.3], ids=["v1.1", "v2.0"])
def run(request, tmp_path_factory, data_dir):
    """(its directory, the questions of its test split)."""
    folder = tmp_path_factory.mktemp("squad")
    facts = dict(train_size=60, test_size=8, unanswerable=request.param)
    synthetic_facts.write(str(folder / "facts"), **facts)
    settings = {
        "data": {
            "name": "answers",
            "path": str(folder / "facts"),
            "tokenizer": {"name": "raw", "kind": "wordpiece", "vocabulary_size": 300},
            "max_length": 48,
            "stride": 16,
            "max_question": 20,
            "batch_size": 16,
        },
        "model": {"name": "bert", "head": "span", **bert.VARIANTS["tiny"]},
        "task": {"name": "span_answering"},
        "optimizer": {"name": "adam", "lr": 1e-2},
        "evals": {"test": {"name": "spans", "split": "test", "batch_size": 40}},
        "duration": "2 epochs",
    }
    train(config.plain(settings), str(folder / "run"), data_dir=data_dir)
    (file,) = (folder / "facts").glob("dev-*")
    return str(folder / "run"), questions.read(file)


def rows_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_answers_are_those_of_the_evaluation(run, data_dir, capsys):
    workdir, asked = run
    pairs = [(one.question, one.context) for one in asked]
    capsys.readouterr()
    assert predict.predict(workdir, pairs, 7, "jsonl") == len(pairs) == 24
    rows = rows_of(capsys)
    result = evaluate(workdir, "test", data_dir)
    said = result["details"]["predictions"]
    assert said == {one.id: row["answer"] for one, row in zip(asked, rows, strict=True)}
    gold = [[answer.text for answer in one.answers] for one in asked]
    answers = [row["answer"] for row in rows]
    f1 = [span_metrics.f1(*pair) for pair in zip(answers, gold, strict=True)]
    assert result["metrics"]["f1"] == pytest.approx(sum(f1) / len(f1))
    assert result["details"]["f1"].tolist() == pytest.approx(f1)
    for row in rows:
        if row["answer"]:
            assert row["pair"][row["start"] : row["end"]] == row["answer"]
        assert ("null_probability" in row) == any(not one.answers for one in asked)
        if "null_probability" in row:
            assert (row["answer"] == "") == (row["null_probability"] > 0.5)
            assert row["best"] in row["pair"]
    if "null_probability" in rows[0]:
        assert {"f1/best", "f1/answerable", "f1/unanswerable"} <= result["metrics"].keys()


def test_a_context_of_many_windows_answers_as_its_best_window(run, capsys):
    workdir, asked = run
    long = " ".join(one.context for one in asked[::3])
    parts = [asked[0].context, long]
    predict.predict(workdir, [(asked[0].question, part) for part in parts], 8, "jsonl")
    short, whole = rows_of(capsys)
    if short["score"] and whole["score"]:
        assert whole["score"] >= short["score"] - 1e-5  # the long one begins with the short one
    assert whole["answer"] in long


def test_odd_texts_are_answered_too(run, capsys):
    workdir, _ = run
    pairs = [
        ("", "Ada lives."),
        ("Who?", ""),
        ("Who? " * 99, "Ada \t lives\nhere."),
        ("?", "\u200b"),
    ]
    predict.predict(workdir, pairs, 8, "jsonl")
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["pair"] for row in rows] == [context for _, context in pairs]
    assert rows[1]["answer"] == "" and rows[1]["score"] is None
    assert "a question: 1 of 4" in err
    predict.predict(workdir, ["Who is it?\tAda\tis it."], 8, "jsonl", tabs=True)
    assert rows_of(capsys)[0]["pair"] == "Ada\tis it."
    predict.predict(workdir, pairs, 8, "table")
    assert "answer" in capsys.readouterr().out.splitlines()[0]


def test_what_a_user_can_get_wrong_is_said(run):
    with pytest.raises(UserError, match="reads pairs of texts"):
        predict.predict(run[0], ["Who?"], 8, "table")
    with pytest.raises(UserError, match="half of a character"):
        predict.predict(run[0], [("Who?", "a\udcff")], 8, "table")
    with pytest.raises(UserError, match="--explain is of a label or a number"):
        predict.predict(run[0], [("a", "b")], 8, "table", predict.Explaining())
