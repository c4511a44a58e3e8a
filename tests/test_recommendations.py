"""A run on ratings from its training to what it recommends, on generated ones."""

import json

import numpy as np
import pytest

from bigmodel_jax import experiment, predict
from bigmodel_jax.apply import load
from bigmodel_jax.data.readers.synthetic_ratings import Reader
from bigmodel_jax.errors import UserError
from bigmodel_jax.train import train
from configs import movielens


@pytest.fixture(scope="module")
def run(tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp("runs") / "svdpp"
    config = movielens.get_config("svdpp,tiny").to_dict()
    config["optimizer"] = {**config["optimizer"], "lr": 0.05}
    train({**config, "duration": "30 epochs"}, str(folder), data_dir=data_dir)
    return folder


def results(run, name):
    return json.loads((run / "results" / f"{name}.json").read_text())


def test_svdpp_finds_the_structure_and_its_errors_are_those_of_each_rating(run, data_dir):
    metrics = results(run, "test")["metrics"]
    reader = Reader(users=63, items=39, each=20)
    base, test = (reader.whole.rating[reader.places(name)] for name in ("base", "test"))
    assert results(run, "test")["examples"] == len(test)
    assert metrics["rmse"] < 0.8 * np.sqrt(np.square(test - base.mean()).mean())
    with load(run) as loaded:
        source = experiment.open_source(
            loaded.config, data_dir, split="test", training=False, batch_size=63
        )
        batch = source.batch(0)
        values = np.asarray(loaded.task.predict(loaded.variables, batch)["values"])
        error = (values - batch["rating"])[batch["mask"]]
    assert len(error) == len(test)
    assert metrics["rmse"] == pytest.approx(np.sqrt(np.square(error).mean()), rel=1e-5)
    assert metrics["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)


def test_a_ranking_is_that_of_a_loop_over_users_and_stands_beside_popularity(run, data_dir):
    metrics = results(run, "test_ranking")["metrics"]
    with load(run) as loaded:
        source = experiment.open_source(
            loaded.config, data_dir, split="test", training=False, batch_size=63
        )
        batch = source.batch(0)
        scores = np.asarray(loaded.task.scores(loaded.variables, batch))
    recalls = {"": [], "popularity_": []}
    for prefix, found in recalls.items():
        for row in range(63):
            ranked = [
                i
                for i in np.argsort(-(source.popularity if prefix else scores[row]), kind="stable")
            ]
            ranked = [i for i in ranked if i and i not in batch["history"][row]][:10]
            liked = batch["item"][row][batch["mask"][row] & (batch["rating"][row] >= 4)]
            if len(liked):
                found.append(len(set(ranked) & set(liked.tolist())) / len(liked))
        assert metrics[f"{prefix}recall@10"] == pytest.approx(np.mean(found), rel=1e-5)
    assert results(run, "test_ranking")["examples"] == len(recalls[""])


def test_predict_lists_what_a_user_has_not_rated_the_best_first(run, capsys):
    assert predict.predict(str(run), ["42", "7"], 64, "jsonl", reads="users") == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["user"] for line in lines] == ["42", "7"]
    scores = [item["score"] for item in lines[0]["items"]]
    assert len(scores) == 10 and scores == sorted(scores, reverse=True) and max(scores) <= 5
    reader = Reader(users=63, items=39, each=20)
    base = reader.places("base")
    rated = reader.whole.item[base][reader.whole.user[base] == 41]
    assert not {f"Item {i + 1}" for i in rated} & {item["title"] for item in lines[0]["items"]}
    predict.predict(str(run), ["42"], 64, "table")
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "user 42" and shown[1].split() == [
        f"{scores[0]:.2f}",
        *lines[0]["items"][0]["title"].split(),
    ]


def test_a_user_never_seen_and_a_text_are_said_in_a_sentence(run):
    with pytest.raises(UserError, match="no user '999' in the training part: the run knows 63"):
        predict.predict(str(run), ["1", "999"], 64, "jsonl")
    with pytest.raises(UserError, match="is a run on users: name them with --user"):
        predict.predict(str(run), ["A text."], 64, "jsonl", reads="texts")
