"""The loss of a text is the one that evaluation finds for it as a document."""

import json
import math

import jax
import numpy as np
import pytest

from bigmodel_jax import predict
from bigmodel_jax.applied.base import load_answers
from bigmodel_jax.config import plain
from bigmodel_jax.errors import UserError
from bigmodel_jax.evaluate import evaluate
from bigmodel_jax.models import gpt
from bigmodel_jax.train import train

pytestmark = pytest.mark.slow

LENGTH = 48
TEXTS = ["The cat sat.\n", "Zwölf Katzen 很好! " * 12, "a"]  # the second is longer than a row
TOKENIZERS = {
    "bpe": dict(name="raw", kind="bpe", vocabulary_size=280),
    "characters": dict(name="characters"),
}


def settings(data, **more):
    return plain(
        {
            "data": {"length": LENGTH, "batch_size": 8, **data},
            "model": {"name": "gpt", **gpt.VARIANTS["tiny"]},
            "task": {"name": "next_token"},
            "optimizer": {"name": "adam", "lr": 1e-2},
            "duration": "8 steps",
            **more,
        }
    )


def write(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


@pytest.fixture(scope="module", params=list(TOKENIZERS))
def run(request, tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "text").mkdir()
    write(folder / "text" / "train.jsonl", TEXTS * 20)
    write(folder / "text" / "test.jsonl", TEXTS)
    data = {"name": "tokens", "path": str(folder / "text"), "tokenizer": TOKENIZERS[request.param]}
    data["splits"] = {"train": "train", "test": "test"}
    data["packing"] = "concat" if request.param == "characters" else "documents"
    train(settings(data), str(folder / "run"), data_dir=data_dir)
    return str(folder / "run")


def rows_of(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_text_has_the_numbers_of_the_evaluation(run, data_dir, capsys):
    predict.predict(run, TEXTS, 8, "jsonl")
    rows = rows_of(capsys)
    for i, row in enumerate(rows):
        if "characters" in run and i == 2:  # of one character nothing is predicted
            assert row == {"text": "a", "tokens": 0, **dict.fromkeys(list(row)[2:])}
            continue
        found = evaluate(run, f"test[{i}:{i + 1}]", data_dir)
        assert row.pop("text") == TEXTS[i] and row.pop("tokens") == found["details"]["tokens"]
        assert row == {key: pytest.approx(found["metrics"][key], rel=1e-5) for key in row}
        assert list(row) == ["loss", "perplexity", "bits_per_byte"]
    if "characters" in run:  # whose rows are cut elsewhere when documents follow one another
        return
    whole = evaluate(run, "test", data_dir)["metrics"]["loss"]
    predict.predict(run, TEXTS, 1, "jsonl")
    rows = rows_of(capsys)
    total = sum(row["tokens"] * (row["loss"] or 0) for row in rows)
    assert total / sum(row["tokens"] for row in rows) == pytest.approx(whole, rel=1e-5)


def test_an_empty_text_has_no_numbers_and_a_table_says_so(run, capsys):
    texts = ["The cat sat.\n", "", " \n "]
    predict.predict(run, texts, 8, "jsonl")
    one, *empty = rows_of(capsys)
    assert all(row["tokens"] == 0 and row["loss"] is None for row in empty)
    predict.predict(run, texts, 8, "table")
    head, first, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == ["nats/token", "perplexity", "bits/byte", "tokens", "text"]
    numbers = [f"{one['loss']:.4f}", f"{one['perplexity']:.2f}", f"{one['bits_per_byte']:.4f}"]
    assert first.split()[:4] == [*numbers, str(one["tokens"])]
    assert [line.split() for line in rest] == [["-", "-", "-", "0"]] * 2


def test_texts_of_many_lengths_are_computed_in_few_shapes(run):
    with load_answers(run) as applied:
        for n in range(1, 40):
            applied.answers(["cat " * n, "The"], 8)
        assert applied._nats._cache_size() == 2  # rows of 32 and of 48


def test_a_run_on_chats_with_lora_reads_a_text_as_a_document(tmp_path, data_dir):
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "The cat sat."}]
    (tmp_path / "chat.jsonl").write_text((json.dumps({"messages": turns}) + "\n") * 20)
    data = {"name": "chat", "path": str(tmp_path / "chat.jsonl"), "tokenizer": TOKENIZERS["bpe"]}
    task = {"name": "lora", "task": {"name": "next_token"}, "rank": 2}
    optimizer = {"name": "adam", "lr": 1e-2, "train": ("lora/.*",)}
    config = settings({**data, "splits": {"train": "train"}}, task=task, optimizer=optimizer)
    train(config, str(tmp_path / "run"), data_dir=data_dir)
    with load_answers(tmp_path / "run") as applied:
        text, end = "A cat sat on it.", applied.tokenizer.separator
        (answer,) = applied.answers([text])
        ids = np.array([end, *applied.tokenizer.encode(text), end])
        params = {"params": applied.variables["params"]}
        rows = np.repeat(ids[None, :-1], applied.rows, 0)  # one for each device
        log_p = jax.nn.log_softmax(applied.task.model.apply(params, rows)[0])
        expected = -sum(float(log_p[i, token]) for i, token in enumerate(ids[1:]))
    assert answer.nats == pytest.approx(expected, rel=1e-5)
    assert answer.tokens == len(ids) - 1 and answer.bytes == len(text)
    numbers = answer.numbers()
    assert numbers["bits_per_byte"] == pytest.approx(expected / math.log(2) / len(text), rel=1e-5)


def test_a_text_is_not_explained_and_unknown_characters_are_named(run):
    with pytest.raises(UserError, match="--explain is of a label or a number.*'next_token'"):
        predict.predict(run, ["a"], 8, "table", predict.Explaining())
    if "characters" in run:
        with pytest.raises(UserError, match="'Ω' is not among"):
            predict.predict(run, ["Ω"], 8, "table")
