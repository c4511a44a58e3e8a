"""Integrated gradients add up, are exact where a closed form is known, and stand at their tokens."""

import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import config, sharding
from bigmodel_jax.applied import printing
from bigmodel_jax.explanations import answers, pieces
from bigmodel_jax.explanations import gradients as explain
from bigmodel_jax.explanations import page as explanation_page
from bigmodel_jax.tasks import classify

TOKENS = np.array([[4, 9, 2, 7, 5, 0, 0, 0]], np.int32)
MASK = TOKENS > 0


def linear_task(weights, **fields):
    """A stand-in: the logits are the sums of the tokens' weights, [vocabulary, classes], and 1."""

    def logits(variables, batch, presence=None):
        del variables
        there = batch["mask"] * (1.0 if presence is None else presence)
        return (jnp.asarray(weights)[batch["tokens"]] * there[..., None]).sum(1) + 1.0

    return types.SimpleNamespace(logits=logits, **fields)


def attributed(task, variables, label, rows=8, points=explain.POINTS):
    batch = {"tokens": np.repeat(TOKENS, rows, 0), "mask": np.repeat(MASK, rows, 0)}
    slopes = jax.jit(explain.make_slopes(task))
    return explain.attribute(lambda a: slopes(variables, batch, a, label), rows, points)


MODELS = {
    "bag": dict(name="bag", n=2, buckets=64, width=8),
    "lstm": dict(name="lstm", width=8, hidden=8),
    "textcnn": dict(name="textcnn", width=8, features=8, sizes=(2, 3)),
    "transformer": dict(name="transformer", width=8, num_heads=2),
}


def large(name):
    """(task, variables) of a model whose weights are large enough to bend, but not to break."""
    factor = 1.5 if name == "transformer" else 4
    model = config.build("models", {**MODELS[name], "vocabulary_size": 12, "num_classes": 3})
    task = classify.Task(model)
    variables = sharding.unbox(task.init(jax.random.key(0), {"tokens": TOKENS, "mask": MASK}))
    return task, jax.tree.map(lambda x: factor * x, variables)


@pytest.mark.parametrize("label", [0, 1])
def test_of_a_linear_model_of_two_classes_it_is_the_difference_of_the_weights(label):
    weights = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    found = attributed(linear_task(weights), {}, label)
    expected = (weights[:, label] - weights[:, 1 - label])[TOKENS[0]] * MASK[0]
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    assert found.points == explain.POINTS[0]
    assert found.at_baseline == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("fields", [{"kind": "sigmoid"}, {"target": "labels"}])
def test_of_a_label_among_several_it_is_the_weights(fields):
    weights = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    found = attributed(linear_task(weights, **fields), {}, 1)
    np.testing.assert_allclose(found.values, weights[TOKENS[0], 1] * MASK[0], atol=1e-5)
    assert found.at_baseline == 1.0


def test_of_a_number_it_is_the_weights_in_the_numbers_own_unit():
    weights = np.random.default_rng(0).normal(size=(12, 1)).astype(np.float32)
    scaling = {"scaling": {"mean": np.float32(40), "deviation": np.float32(5)}}
    found = attributed(linear_task(weights, target="number"), scaling, 0)
    np.testing.assert_allclose(found.values, 5 * weights[TOKENS[0], 0] * MASK[0], atol=1e-4)
    assert found.at_baseline == 45.0


@pytest.mark.parametrize("name", MODELS)
def test_attributions_add_up_to_the_difference_that_the_tokens_make(name, label=1):
    task, variables = large(name)
    found = attributed(task, variables, label)
    assert found.complete
    assert found.values.sum() == pytest.approx(found.difference, rel=explain.TOLERANCE)
    logits = task.logits(variables, {"tokens": TOKENS, "mask": MASK})[0]
    p = float(jax.nn.softmax(logits)[label])
    assert found.at_input == pytest.approx(np.log(p / (1 - p)), rel=1e-3, abs=1e-3)
    np.testing.assert_array_equal(found.values[~MASK[0]], 0)


def test_they_agree_with_a_fine_sum_over_the_line():
    """Against the midpoint rule, which shares nothing with the quadrature, with 1,000 points."""
    task, variables = large("lstm")
    alphas = (np.arange(1000, dtype=np.float32) + 0.5) / 1000
    batch = {"tokens": np.repeat(TOKENS, 1000, 0), "mask": np.repeat(MASK, 1000, 0)}
    _, gradients = jax.jit(explain.make_slopes(task))(variables, batch, alphas, 1)
    expected = np.asarray(gradients, np.float64).mean(0)
    found = attributed(task, variables, 1)
    np.testing.assert_allclose(found.values, expected, atol=1e-2 * abs(expected).max())


@pytest.mark.parametrize("rows", [1, 3])
def test_how_many_points_are_computed_at_once_changes_nothing(rows):
    one, other = (attributed(*large("lstm"), 1, rows=n) for n in (rows, 8))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-4, atol=1e-5)


def test_points_are_doubled_until_they_are_enough():
    """F(s) = sum of step-like tanh(50 (s - 0.4)): few points miss the step."""

    def slopes(alphas):
        values = np.tanh(50 * (alphas - 0.4))
        return values, (50 * (1 - values**2))[:, None]

    found = explain.attribute(slopes, rows=16)
    assert found.complete and found.points > explain.POINTS[0]
    assert found.values[0] == pytest.approx(2, rel=0.01)
    few = explain.attribute(slopes, rows=16, points=explain.POINTS[:1])
    assert not few.complete and few.residual != 0


def test_what_is_said_of_too_few_points_is_the_rule():
    parts = explain.Attribution(np.array([100.0, -99.9]), 0.0, 0.0, 14)
    assert parts.complete  # 0.1 is below 0.1% of 199.9
    parts = parts._replace(values=np.array([100.0, -99.7]))
    assert not parts.complete
    found = pieces.Explanation("pos", "log-odds of pos", ["a", "b"], parts)
    said = "NOT enough to be within 1% of the difference or 0.1% of the sum of the sizes"
    assert said in answers.completeness(found)


def test_a_difference_of_nothing_is_complete():
    assert explain.attribute(lambda a: (0 * a, 0 * a[:, None]), rows=16).complete


def explanation(tokens, values, **fields):
    parts = explain.Attribution(np.array(values, float), float(sum(values)), 0.0, 14)
    return pieces.Explanation("pos", "log-odds of pos", tokens, parts, **fields)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["a", "fine", "film", "!", "<unknown>"], "a fine film! <unknown>"),
        (["(", "un", "##think", "##able", ")", "."], "(unthinkable)."),
        (["▁a", "▁un", "think", "able", "."], "a unthinkable."),
        (["Ġa", "Ġun", "think", "<separator>", "Ġable"], "a unthink <separator> able"),
        (["很", "好", "看", "ok"], "很好看 ok"),
    ],
)
def test_pieces_join_to_a_readable_text(tokens, expected):
    shown = list(pieces.pieces(explanation(tokens, range(len(tokens)))))
    assert "".join(" " * piece.space + piece.text for piece in shown).strip() == expected
    assert [piece.value for piece in shown] == list(range(len(tokens)))


@pytest.mark.parametrize(("cut", "expected"), [(0, "G a b"), (1, "a G b"), (2, "a b G")])
def test_what_was_not_read_is_said_where_it_stood(cut, expected):
    shown = pieces.pieces(explanation(["a", "b"], [1, 2], not_read={cut: 1234}))
    words = ["G" if piece.value is None else piece.text for piece in shown]
    assert " ".join(words) == expected
    shown = pieces.pieces(explanation(["a"], [1], not_read={0: 1234}))
    assert "[... 1,234 tokens not read ...]" in {piece.text for piece in shown}


def test_equal_tokens_are_counted_together():
    found = explanation(["good", "bad", "good", "the"], [1.0, -3.0, 0.5, 0.001])
    assert pieces.tops(found) == ([("good (x2)", 1.5)], [("bad", -3.0)])


def test_numbers_have_the_decimals_that_the_largest_needs():
    assert pieces.signed([0.1851, -0.00791]) == ["+0.185", "-0.008"]
    assert pieces.signed([12345.6, -3.2]) == ["+12346", "-3"]
    assert pieces.signed([]) == [] and pieces.signed([0.0]) == ["+0.00"]


MEANING = answers.Meaning("class", ("neg", "pos"))


def answer(tokens, values, text="text", **fields):
    return answers.Answer(
        text, np.array([0.25, 0.75], np.float32), False, explanation(tokens, values, **fields)
    )


def test_the_terminal_says_in_numbers_what_colours_say(capsys):
    answers.explained(MEANING)([answer(["good", "but", "slow"], [2.0, 0.01, -1.5])])
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert lines[:2] == [["pos", "0.7500", "(neg", "0.2500)"], ["good", "but", "slow"]]
    assert lines[2:4] == [["for", "pos", "against", "it"], ["+2.00", "good", "-1.50", "slow"]]
    assert "log-odds of pos: +0 without words, +0.51 with them" in " ".join(out.split())


def test_square_brackets_in_a_text_are_no_markup(capsys):
    answers.explained(MEANING)([answer(["[bold]", "[/]"], [1.0, -1.0], text="[red]x")])
    assert "[bold] [/]" in capsys.readouterr().out


def test_json_lines_hold_every_token_and_how_exact_they_are(capsys):
    printing.json_lines(lambda x: answers.as_json(x, MEANING))(
        [answer(["good", "–"], [2.0, -0.5], not_read={2: 3})]
    )
    line = json.loads(capsys.readouterr().out)
    assert line["label"] == line["explained"] == "pos"
    assert line["explanation"] == [["good", 2.0], ["–", -0.5]]
    assert line["completeness"] == {"sum": 1.5, "difference": 1.5, "complete": True, "points": 14}
    assert line["not_read"] == 3


def test_nothing_in_a_text_becomes_html(tmp_path):
    evil = ["<script>", "alert('x')", "</script>", '"><img', "&amp;"]
    bad = answers.Meaning("class", ("<u>neg", "<u>pos"))
    with explanation_page.ExplanationPage(tmp_path / "new" / "e.html", bad, "<i>run") as written:
        written.add([answer(evil, [3.0, 2.0, -1.0, -2.0, 0.1])])
    html = (tmp_path / "new" / "e.html").read_text()
    for tag in ("<script", "<img", "<u>neg", "<u>pos", "<i>"):
        assert tag not in html.lower()
    assert "&lt;script&gt;" in html and "&amp;amp;" in html
    assert html.rstrip().endswith("</html>")
    for outside in ("http://", "https://", "src=", "url(", "@import"):
        assert outside not in html


def test_the_page_has_a_section_for_each_text(tmp_path):
    with explanation_page.ExplanationPage(tmp_path / "e.html", MEANING, "run") as written:
        written.add([answer(["good"], [1.0]), answer([], [])._replace(empty=True)])
        written.add([answer(["good", "bad"], [1.0, -2.0], not_read={1: 9})])
    html = (tmp_path / "e.html").read_text()
    assert html.count("<section>") == html.count("</section>") == 3
    assert "no words" in html and "[... 9 tokens not read ...]" in html
    assert 'class="against strong"' in html and "75.0%" in html
