"""What may stand for a mask is what the model says at its place."""

import json

import jax
import numpy as np
import pytest

from bigmodel_jax import predict
from bigmodel_jax.applied.base import load_answers
from bigmodel_jax.errors import UserError
from bigmodel_jax.train import train
from configs import imdb_mlm

LENGTH = 40  # tokens of a row


@pytest.fixture(scope="module", params=["wordpiece", "bpe"])
def run(request, tmp_path_factory, data_dir):
    config = imdb_mlm.get_config("tiny").to_dict()
    config["data"]["tokenizer"] = dict(name="raw", kind=request.param, vocabulary_size=500)
    config["data"]["length"] = LENGTH
    config = {**config, "duration": "6 steps", "evals": {}}
    workdir = tmp_path_factory.mktemp("masks") / "run"
    train(config, str(workdir), data_dir=data_dir)
    return str(workdir)


def probabilities(applied, ids):
    """Of all tokens at each place of a text, by the model alone."""
    params = {"params": applied.variables["params"]}
    rows = np.repeat(np.array([ids], np.int32), applied.rows, 0)  # one for each device
    logits = applied.task.model.apply(params, rows)
    return np.asarray(jax.nn.softmax(logits[0].astype(np.float32)))


def check(applied, masks, found):
    """Answers for masks against probabilities, [masks, vocabulary]."""
    for mask, row in zip(masks, found, strict=True):
        names = applied.tokenizer.tokens(range(len(row)))
        expected = sorted(zip(row, names, strict=True), reverse=True)[:5]
        # Of bfloat16 models places that are computed in other company differ a little.
        np.testing.assert_allclose([p for _, p in mask], [p for p, _ in expected], rtol=2e-2)
        by_name = dict(zip(names, row, strict=True))
        np.testing.assert_allclose([p for _, p in mask], [by_name[n] for n, _ in mask], rtol=2e-2)


def test_a_mask_hides_a_token_and_what_the_model_says_there_is_the_answer(run):
    text = "I really loved the plot, and the music."
    with load_answers(run) as applied:
        tokenizer = applied.tokenizer
        ids = [*tokenizer.encode(text), tokenizer.separator]
        names = [name.strip("Ġ") for name in tokenizer.tokens(ids)]
        places = [names.index("plot"), names.index("music")]  # each a token
        for place in places:
            ids[place] = tokenizer.mask
        masked = text.replace("plot", "[MASK]").replace("music", "<mask>")
        found = applied.answers(["The [MASK].", masked, "[MASK]"], 8)
        assert [len(answer.masks) for answer in found] == [1, 2, 1]
        check(applied, found[1].masks, probabilities(applied, ids)[places])


def test_of_a_long_text_the_model_sees_what_is_around_its_masks(run, capsys):
    before, after = "I loved the plot. " * 30, " I hated the music." * 30
    with load_answers(run) as applied:
        tokenizer = applied.tokenizer
        text = f"{before}It was [MASK] and [MASK]!{after}"
        (answer,) = applied.answers([text])
        parts = [f"{before}It was", " and", f"!{after}"]
        first, second, third = (list(tokenizer.encode(part)) for part in parts)
        ids = [*first, tokenizer.mask, *second, tokenizer.mask, *third, tokenizer.separator]
        places = np.flatnonzero(np.array(ids) == tokenizer.mask)
        start = (places.sum() + 1 - LENGTH) // 2
        found = probabilities(applied, ids[start : start + LENGTH])[places - start]
        check(applied, answer.masks, found)
        # At either end of a text the window ends there.
        for text in (f"[MASK]{after}", f"{before}[MASK]"):
            assert len(applied.answers([text])[0].masks) == 1
        with pytest.raises(UserError, match="tokens apart, and the run read 40 at once"):
            applied.answers([f"[MASK] {before} [MASK]"])
    capsys.readouterr()
    predict.predict(run, [text, "[MASK]"], 8, "jsonl")
    out, said = capsys.readouterr()
    assert len(out.splitlines()) == 2 and "1 of 2 texts, of which it saw" in said


def test_rows_are_printed_with_the_likeliest_first(run, capsys):
    texts = ["A [MASK] plot and a [MASK].", "[MASK]"]
    predict.predict(run, texts, 8, "jsonl")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == texts
    assert [len(row["masks"]) for row in rows] == [2, 1]
    for mask in (mask for row in rows for mask in row["masks"]):
        values = [guess["probability"] for guess in mask]
        assert len(values) == 5 and values == sorted(values, reverse=True)
    predict.predict(run, texts, 8, "table")
    out = capsys.readouterr().out
    likeliest = rows[0]["masks"][1][0]
    assert f"2: {likeliest['token']} {likeliest['probability']:.2f}" in out


def test_a_text_without_a_mask_is_told_how_to_write_one(run):
    with pytest.raises(
        UserError, match=r"'No mask \[mask\]' has no mask: write \[MASK\] or <mask>"
    ):
        predict.predict(run, ["No mask [mask]"], 8, "table")
    with pytest.raises(UserError, match="--explain is of a label or a number.*'masked_lm'"):
        predict.predict(run, ["[MASK]"], 8, "table", predict.Explaining())
