"""The probabilities of choices from anywhere are those that the evaluation counts."""

import json

import numpy as np
import pytest

from bigmodel_jax import config, predict
from bigmodel_jax.data.readers import synthetic_endings
from bigmodel_jax.errors import UserError
from bigmodel_jax.evaluate import evaluate
from bigmodel_jax.models import bert
from bigmodel_jax.train import train

pytestmark = pytest.mark.slow

SIZES = dict(train_size=60, test_size=20)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp("choices")
    settings = {
        "data": {
            "name": "choices",
            "reader": {"name": "synthetic_endings", **SIZES},
            "tokenizer": {"name": "raw", "kind": "wordpiece", "vocabulary_size": 200},
            "max_length": 40,
            "batch_size": 16,
        },
        "model": {"name": "bert", "head": "classify", "num_classes": 1, **bert.VARIANTS["tiny"]},
        "task": {"name": "multiple_choice"},
        "optimizer": {"name": "adam", "lr": 1e-2},
        "evals": {"test": {"name": "choices", "split": "test"}},
        "duration": "2 epochs",
    }
    train(config.plain(settings), str(folder / "run"), data_dir=data_dir)
    return str(folder / "run")


def test_answers_are_those_of_the_evaluation(workdir, data_dir, capsys):
    items = list(synthetic_endings.Reader(**SIZES).examples("test"))
    choices = [[f"{item['question']} {one}" for one in item["choices"]] for item in items]
    lines = [
        "\t".join([item["context"], *several]) for item, several in zip(items, choices, strict=True)
    ]
    capsys.readouterr()
    assert predict.predict(workdir, lines, 8, "jsonl", tabs=True) == 20
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    result = evaluate(workdir, "test", data_dir)
    assert result["metrics"]["accuracy/low"] <= result["metrics"]["accuracy"]
    for row, several, item, expected in zip(
        rows, choices, items, result["details"]["probabilities"], strict=True
    ):
        assert row["text"] == item["context"] and row["choices"] == several
        np.testing.assert_allclose(row["probabilities"], expected[: len(several)], atol=1e-5)
        assert row["answer"] == several[int(np.argmax(row["probabilities"]))]
    right = [
        row["choices"].index(row["answer"]) == item["label"]
        for row, item in zip(rows, items, strict=True)
    ]
    assert np.mean(right) == pytest.approx(result["metrics"]["accuracy"])
    assert result["details"]["mistakes"][0]["label"].startswith("choice ")


def test_choices_are_the_pair_of_their_context_too(workdir, capsys):
    predict.predict(workdir, [("Leo forgot.", "a b\tc" + " word" * 99)], 8, "jsonl")
    out, err = capsys.readouterr()
    (row,) = map(json.loads, out.splitlines())
    assert sum(row["probabilities"]) == pytest.approx(1) and "a choice of 1 of 1 texts" in err
    predict.predict(workdir, [("Leo forgot.", "a\tb")], 8, "table")
    assert "probability" in capsys.readouterr().out


def test_a_text_without_choices_is_refused(workdir):
    for text in ("Leo forgot.", "Leo forgot.\tone", ("Leo", "one")):
        with pytest.raises(UserError, match="choices: write two or more behind it"):
            predict.predict(workdir, [text], 8, "table", tabs=True)
