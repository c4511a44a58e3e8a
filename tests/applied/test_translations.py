"""A run that translates: its evaluator's numbers, and `predict` on lines of text."""

import json

import pytest

from bigmodel_jax.applied.base import load_answers
from bigmodel_jax.applied.translations import search_of
from bigmodel_jax.data.readers.synthetic_translations import Reader
from bigmodel_jax.errors import UserError
from bigmodel_jax.evaluate import evaluate
from bigmodel_jax.generation.sampling import Sampling
from bigmodel_jax.generation.translator import Search
from bigmodel_jax.generation.writer import load_writer
from bigmodel_jax.predict import predict
from bigmodel_jax.train import train
from configs import multi30k

pytest.importorskip("sacrebleu")
pytestmark = pytest.mark.slow  # a language is learnt first, which takes a minute


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, data_dir):
    """A run that has learnt the made-up language."""
    config = multi30k.get_config("tiny").to_dict()
    config["model"] |= {"width": 48, "mlp_dim": 96, "dtype": "float32"}
    config["data"] |= {"prefix": "say: ", "batch_size": 16}
    config["optimizer"]["lr"], config["ema"] = 1e-2, 0.9
    config |= {"duration": "12 epochs", "early_stopping": {}}
    config["evals"] = {"test": {**config["evals"]["test"], "beams": 2, "sources_at_once": 40}}
    path = tmp_path_factory.mktemp("runs") / "translates"
    train(config, str(path), data_dir=data_dir)
    return path


def test_it_has_learnt_the_language_and_its_results_say_how_well(workdir):
    found = json.loads((workdir / "results" / "test.json").read_text())
    numbers = found["metrics"]
    assert numbers["bleu"] > 60 and numbers["chrf"] > 70
    assert 0 < numbers["bleu_ci"] < 20 and numbers["loss"] < 1
    assert found["examples"] == len(found["answers"]) == 96
    assert "case:mixed" in found["signatures"]["bleu"]


def test_evaluate_has_the_same_numbers_at_any_batch_size(workdir, data_dir):
    recorded = json.loads((workdir / "results" / "test.json").read_text())
    found = evaluate(str(workdir), "test", data_dir, batch_size=8)
    assert found["metrics"] == pytest.approx(recorded["metrics"], rel=1e-5)
    assert found["details"]["answers"] == recorded["answers"]


def test_predict_answers_as_the_evaluation_did(workdir, capsys):
    recorded = json.loads((workdir / "results" / "test.json").read_text())
    texts = [x["text"] for x in Reader(640, 96).examples("test", range(20))]
    predict(str(workdir), iter(texts), 8, "jsonl")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == texts
    assert [row["answer"] for row in rows] == recorded["answers"][:20]


def test_a_long_text_is_cut_with_a_note_and_an_empty_one_is_answered(workdir, capsys):
    with load_answers(workdir) as run:
        found = run.answers(["The dog sees the cat. " * 40, ""])
        assert len(found) == 2 and run.notes()[0].startswith("longer than the 48 tokens")
        show = run.table()
        show(found)
    assert "The dog sees" in capsys.readouterr().out


def test_it_does_not_write_on_from_a_prompt(workdir):
    with (
        pytest.raises(UserError, match="answers a text and writes on from none.*`predict`"),
        load_writer(workdir, Sampling()),
    ):
        pass


def test_predict_searches_as_the_evaluation_at_the_end_does():
    during = {"name": "translation", "every": "1 epochs", "beams": 1}
    last = {"name": "translation", "beams": 5, "length_penalty": 0.6, "batch_size": 3}
    assert search_of({"evals": {"val": during, "test": last}}) == Search(5, 0.6)
    assert search_of({"evals": {"val": during}}) == Search(1)
    assert search_of({"evals": {}}) == Search()
    with pytest.raises(UserError, match="beams is 0"):
        search_of({"evals": {"val": {**during, "beams": 0}}}).check()
