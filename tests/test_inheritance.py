"""A run starts from another, whatever that was for: its model, its tokenizer, under another head."""

import csv
import json
import random

import numpy as np
import pytest

from bigmodel_jax import config as configuration
from bigmodel_jax.applied.base import load_answers
from bigmodel_jax.apply import load_run
from bigmodel_jax.config import DEFAULTS
from bigmodel_jax.errors import UserError
from bigmodel_jax.generation.sampling import Sampling
from bigmodel_jax.generation.writer import load_writer
from bigmodel_jax.inheritance import child, heads, inherit
from bigmodel_jax.merge import merge
from bigmodel_jax.train import train
from configs import chat, choice, finetune_text, gpt2_pretrain, imdb_lm, imdb_mlm, own_text, squad


def run(config, folder, data_dir):
    config = config.to_dict()
    config["early_stopping"] = {}
    train({**config, "duration": "4 steps", "evals": {}}, str(folder), data_dir=data_dir)
    return folder


def slow(*values):
    """A case that is like another."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data_dir):
    """A pretrained encoder, a decoder, a classifier of two classes; and texts of three classes."""
    folder, rng = tmp_path_factory.mktemp("runs"), random.Random(0)
    run(imdb_mlm.get_config("tiny"), folder / "mlm", data_dir)
    run(imdb_lm.get_config("tiny"), folder / "lm", data_dir)
    words = ["a", "fine", "dull", "film", "with", "music", "and", "plot"]
    for name, labels in (("two", "ab"), ("three", "xyz")):
        rows = [(" ".join(rng.choices(words, k=8)), labels[i % len(labels)], i) for i in range(60)]
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("text", "label", "stars"), *rows])
    own = own_text.get_config("tiny,transformer")
    own.data.path = str(folder / "two.csv")
    run(own, folder / "own", data_dir)
    return folder


def finetuned(arg, source, folder, data_dir, runs, **data):
    config = finetune_text.get_config(arg)
    config.data.update(path=str(runs / "three.csv"), **data)
    config.init_from.path = str(source)
    return run(config, folder, data_dir)


@pytest.mark.parametrize(
    "source, arg, data",
    [
        ("mlm", "tiny", {}),
        ("lm", "tiny,how=lora", {}),
        slow("mlm", "tiny,how=lora,target=labels", {}),
        slow("mlm", "tiny,how=head,target=number", dict(label_column="stars")),
        slow("own", "tiny,how=head", {}),
    ],
)
def test_texts_of_ones_own_are_learnt_by_any_run(source, arg, data, runs, tmp_path, data_dir):
    made = finetuned(arg, runs / source, tmp_path / "run", data_dir, runs, **data)
    with load_run(made) as applied:
        answers = applied.predict(["a fine film", ""])
    assert answers.shape == ((2,) if "number" in arg else (2, 3)) and np.isfinite(answers).all()
    # The tokenizer is the source's, to the byte, and what is taken are its arrays.
    kept = [(f / "assets/tokenizer.json").read_bytes() for f in (made, runs / source)]
    assert kept[0] == kept[1]
    rows = json.loads((made / "init_from.json").read_text())["arrays"]
    fresh = [row["target"] for row in rows if row["done"] == "fresh"]
    assert all(path.startswith(("classifier/", "head/", "lora/", "scaling/")) for path in fresh)


@pytest.mark.slow
def test_a_finetuned_run_is_the_start_of_another_and_one_with_lora_once_it_is_merged(
    runs, tmp_path, data_dir
):
    first = finetuned("tiny,how=lora", runs / "mlm", tmp_path / "lora", data_dir, runs)
    with pytest.raises(UserError, match="is a LoRA run: .* bigmodel_jax.merge --workdir="):
        finetuned("tiny", first, tmp_path / "second", data_dir, runs)
    merge(str(first), str(tmp_path / "merged"))
    second = finetuned("tiny,target=labels", tmp_path / "merged", tmp_path / "b", data_dir, runs)
    with load_run(second) as applied:
        assert applied.predict(["a film"]).shape == (1, 3)


@pytest.mark.parametrize("arg", ["tiny,template=tokens,how=lora", slow("tiny")])
def test_a_decoder_learns_to_answer_in_a_template(arg, runs, tmp_path, data_dir):
    config = chat.get_config(arg)
    config.init_from.path = str(runs / "lm")
    run(config, tmp_path / "run", data_dir)
    with load_writer(tmp_path / "run", Sampling(), chat=True) as writer:
        (ids,) = writer._ids(["say film"])
        names = writer.tokenizer.tokens(ids)
        assert len(writer.write(["say film"], max_tokens=4)) == 1
    added = [name for name in names if name in ("<|user|>", "<|assistant|>")]
    assert added == (["<|user|>", "<|assistant|>"] if "tokens" in arg else [])


@pytest.mark.parametrize(
    "parent, arg, source",
    [
        (squad, "tiny,how=lora", "mlm"),
        slow(squad, "tiny,how=full", "lm"),
        slow(choice, "tiny,how=head", "mlm"),
    ],
)
@pytest.mark.slow
def test_questions_are_answered_by_a_run_that_starts_from_any(
    parent, arg, source, runs, tmp_path, data_dir
):
    config = parent.get_config(arg)
    config.init_from.path = str(runs / source)
    made = run(config, tmp_path / "run", data_dir)
    with load_answers(made) as applied:
        (answer,) = applied.answers([("Who lives in Oslo?", "Ada lives in Oslo.\tLeo does.")])
    line = applied.as_json(answer)
    assert line["answer"] in ("", *line.get("choices", ()), line.get("best"))


def test_a_run_that_has_learnt_no_chats_answers_none(runs):
    complaint = pytest.raises(UserError, match="--chat: .* has learnt 'tokens' and no chats")
    with complaint, load_writer(runs / "lm", Sampling(), chat=True):
        pass


@pytest.mark.slow
def test_a_padded_vocabulary_is_never_written(tmp_path, data_dir):
    made = run(gpt2_pretrain.get_config("tiny"), tmp_path / "run", data_dir)
    with load_writer(made, Sampling()) as writer:
        known = writer.tokenizer.vocabulary_size
        assert known < writer.decoder._model.vocabulary_size == 384
        new = [i for rows in writer.decoder.write([[2, 7]], 100) for i in rows[0]]
    assert new and max(new) < known  # of 384 equally likely ids, a hundred would not all be


def test_gpt2_is_as_large_as_the_published_one():
    """nanoGPT's count with padding: 12 blocks, two tables, no biases."""
    import jax

    from bigmodel_jax.experiment import make_task

    config = gpt2_pretrain.get_config().to_dict()
    task = make_task({**config, "model": {**config["model"], "max_length": 1024}})
    rows = jax.ShapeDtypeStruct((1, 8), "int32")
    batch = {"tokens": rows, "segments": rows, "positions": rows}
    params = jax.eval_shape(lambda b: task.init(jax.random.key(0), b), batch)["params"]
    d = 768
    blocks = 12 * (4 * d * d + 8 * d * d + 2 * d) + d
    assert sum(x.size for x in jax.tree.leaves(params)) == blocks + (50_304 + 1024) * d


GPT = {"name": "gpt", "max_length": 16, "vocabulary_size": 50, "num_classes": 2, "head": "classify"}


def test_a_child_has_the_classes_and_with_rotary_positions_the_length_of_its_own_data():
    assert child(GPT, {"head": "tag"}) == {
        "name": "gpt", "max_length": 16, "vocabulary_size": 50, "head": "tag",
    }  # fmt: skip
    assert "max_length" not in child({**GPT, "positions": "rope"}, {})
    assert child({"name": "lstm", "pooling": "last"}, {"head": "classify", "pooling": "mean"}) == {
        "name": "lstm", "pooling": "last",
    }  # fmt: skip


def test_an_encoder_decoder_keeps_its_head():
    t5 = {"name": "t5", "vocabulary_size": 50, "tied": False}
    assert child(t5, {"dropout": 0.1}) == {**t5, "dropout": 0.1}
    rules = {"path": "runs/t5", "drop": (), "fresh": ()}
    assert heads(t5, t5, rules) == rules


@pytest.mark.parametrize(
    "spec, own, complaint",
    [
        ({"name": "bag"}, {}, "is a bag of n-grams"),
        ({"name": "lstm"}, {"head": "tag"}, "'lstm', which classifies whole texts"),
        ({"name": "t5"}, {"head": "classify"}, "'t5', which writes one text from another"),
    ],
)
def test_what_a_model_cannot_become_is_said(spec, own, complaint):
    with pytest.raises(UserError, match=complaint):
        child(spec, own)


@pytest.mark.parametrize(
    "path, complaint",
    [
        ("", "--config.init_from.path=RUN names"),
        ("nowhere", "names a run or a checkpoint, but .*nowhere is not there"),
    ],
)
def test_a_start_that_is_none_is_said(path, complaint):
    config = {**DEFAULTS, "model": {"name": "pretrained"}, "init_from": {"path": path}}
    with pytest.raises(UserError, match=complaint):
        inherit(configuration.plain(config))


def test_texts_longer_than_a_table_of_positions_are_refused(runs, tmp_path, data_dir):
    short = gpt2_pretrain.get_config("tiny")
    short.data.length = 8
    short.task.chunk = 0
    run(short, tmp_path / "short", data_dir)
    with pytest.raises(UserError, match="has positions for 8 tokens: --config.data.max_length=8"):
        finetuned("tiny", tmp_path / "short", tmp_path / "run", data_dir, runs)
