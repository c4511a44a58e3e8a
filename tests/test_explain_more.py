"""Occlusion against closed forms and a loop; neighbours against NumPy; both on the page and in JSON."""

import json

import jax
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.explanations import gradients, neighbours, occlusion, page, picture_page
from bigmodel_jax.explanations.answers import Answer, Meaning, Neighbour, as_json, explained
from tests.test_explain import MASK, MEANING, TOKENS, answer, linear_task
from tests.test_explain_images import MEAN, STD, made
from tests.test_explain_images import explained as pictured

NEAR = (Neighbour(0.91, "pos", "<b>A fine film."), Neighbour(0.5, "neg", "x" * 999))


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_without_a_token_a_linear_model_loses_its_weight(rows):
    weights = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    batch = {"tokens": np.repeat(TOKENS, rows, 0), "mask": np.repeat(MASK, rows, 0)}
    scores = jax.jit(gradients.make_scores(linear_task(weights)))
    found = occlusion.of_tokens(lambda s: scores({}, batch, s, 1), 5, TOKENS.shape[1], rows)
    expected = (weights[:, 1] - weights[:, 0])[TOKENS[0, :5]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not len(occlusion.of_tokens(lambda s: scores({}, batch, s, 1), 0, 8, rows))


def test_a_pixel_has_the_mean_of_what_a_linear_model_loses_without_the_patches_over_it():
    task, variables, batch = made("linear")
    kernel = variables["params"]["classifier"]["kernel"].reshape(8, 8, 3, 3)
    adds = (kernel[..., 1] * (batch["image"][0] / 255 - np.array(MEAN)) / np.array(STD)).sum(-1)
    task = type(task)(task.model, loss="sigmoid", mean=MEAN, std=STD)
    rows = {"image": np.repeat(batch["image"][:1], 8, 0)}
    scores = jax.jit(gradients.make_scores(task))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(occlusion, "ACROSS", 3)  # patches of 2 by 2, that move by 1
        found = occlusion.of_patches(lambda s: scores(variables, rows, s, 1), 8, 8, 8)
    for y, x in ((0, 0), (3, 5), (7, 2)):
        over = [
            adds[a : a + 2, b : b + 2].sum()
            for a in range(max(y - 1, 0), min(y, 6) + 1)
            for b in range(max(x - 1, 0), min(x, 6) + 1)
        ]
        assert found[y, x] == pytest.approx(np.mean(over), abs=1e-4)


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_what_the_last_layer_is_given_is_what_the_model_calls_its_features(name):
    task, variables, batch = made(name)
    found = jax.jit(lambda v, b: neighbours.embed(task, v, b))(variables, batch)
    np.testing.assert_allclose(found, jax.jit(task.features)(variables, batch), rtol=1e-5)
    kernel, bias = (variables["params"]["classifier"][k] for k in ("kernel", "bias"))
    np.testing.assert_allclose(found @ kernel + bias, task.logits(variables, batch), atol=1e-4)


def test_a_model_without_a_last_layer_of_its_own_is_refused():
    with pytest.raises(UserError, match="'head' or 'classifier', and this model has none"):
        neighbours.embed(
            linear_task(np.zeros((12, 2), np.float32)), {}, {"tokens": TOKENS, "mask": MASK}
        )


class Six:
    """A source of six texts whose features are given; the last row of its two batches is padding."""

    labels, label_names = np.array([0, 1, 0, 1, 0, 1], np.int32), ("neg", "pos")
    examples, steps_per_epoch = 6, 2
    features = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)

    def rows(self, step):
        return np.array([[5, 4, 3, 2], [1, 0, -1, -1]][step])

    def batch(self, step):
        return {"features": self.features[self.rows(step)]}

    def texts(self, chosen):
        return [f"text {i}" for i in chosen]


def test_the_nearest_are_those_of_the_largest_cosine_nearest_first(monkeypatch):
    monkeypatch.setattr(neighbours, "embed", lambda task, variables, batch: batch["features"])
    source, mesh = Six(), sharding.make_mesh({"data": 4, "fsdp": 1}, jax.devices()[:4])
    training = neighbours.TrainingSet(
        split="train", task=None, open_source=lambda **_: source, mesh=mesh
    )
    training.remember({})
    asked = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)
    for row, near in zip(asked, training.nearest(asked, 4), strict=True):
        bank = source.features[:6]
        cosines = bank @ row / np.linalg.norm(bank, axis=1) / np.linalg.norm(row)
        order = np.argsort(-cosines)[:4]
        assert [n.example for n in near] == [f"text {i}" for i in order]
        assert [n.label for n in near] == [("neg", "pos")[i % 2] for i in order]
        np.testing.assert_allclose([n.similarity for n in near], cosines[order], rtol=1e-5)


def test_both_are_on_the_page_in_the_terminal_and_in_json(tmp_path, capsys):
    one = answer(["good", "film"], [2.0, 0.1])
    one = one._replace(
        explanation=one.explanation._replace(occlusion=np.array([0.25, -1.5])), neighbours=NEAR
    )
    with page.ExplanationPage(tmp_path / "e.html", MEANING, "run") as written:
        written.add([one])
    html = (tmp_path / "e.html").read_text()
    assert 'title="-1.5">film' in html and 'title="+0.1">film' in html
    assert "0.910" in html and "&lt;b&gt;A fine film." in html and "x" * 299 + "…" in html
    explained(MEANING)([one])
    said = capsys.readouterr().out
    assert "without each of them:\ngood film" in said and "0.910 pos: <b>A fine film." in said
    line = json.loads(json.dumps(as_json(one, MEANING)))
    assert line["occlusion"] == [["good", 0.25], ["film", -1.5]]
    assert line["neighbours"][0] == {"similarity": 0.91, "label": "pos", "text": NEAR[0].example}


def test_the_page_of_a_picture_has_them_too(tmp_path):
    near = (Neighbour(0.75, "<i>cat", np.zeros((2, 3, 1), np.uint8)),)
    one = Answer("a.png", np.array([0.75, 0.25]), False, pictured(occlusion=np.ones((2, 3))), near)
    with picture_page.PicturePage(tmp_path / "e.html", Meaning("class", "ab"), "run") as written:
        written.add([one])
    html = (tmp_path / "e.html").read_text()
    assert html.count("<img") == 4 and "&lt;i&gt;cat 0.750" in html
    assert "it loses without a patch" in html and "<i>" not in html
    assert as_json(one, Meaning("class", "ab"))["neighbours"] == [
        {"similarity": 0.75, "label": "<i>cat"}
    ]
