"""Temperatures and thresholds: the best of all that there are, by slower ways to find them."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import accuracy_score, f1_score, log_loss

from bigmodel_jax import evaluate
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals import calibration
from bigmodel_jax.reports import calibrations


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def drawn(classes, sharper=1.0, n=400):
    """(probabilities of a model whose logits are too large by a factor, labels drawn from the true ones)."""
    rng = np.random.default_rng(classes)
    logits = rng.normal(size=(n, classes)) * 2
    labels = np.array([rng.choice(classes, p=p) for p in softmax(logits)])
    return softmax(sharper * logits).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 5])
def test_the_temperature_is_that_of_the_least_cross_entropy(classes):
    probabilities, labels = drawn(classes, sharper=3)
    ours = calibration.fit_temperature(probabilities, labels)

    def loss(log_temperature):
        after = softmax(np.log(probabilities.astype(np.float64)) / np.exp(log_temperature))
        return log_loss(labels, after, labels=range(classes))

    theirs = np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x)
    assert ours == pytest.approx(theirs, rel=1e-4) and 2 < ours < 4.5
    sharper = softmax(2 * np.log(probabilities.astype(np.float64)))
    assert calibration.fit_temperature(sharper, labels) == pytest.approx(2 * ours, rel=1e-5)


def test_of_a_model_that_is_always_right_or_always_wrong_the_temperature_stays_finite():
    sure = np.array([[0.1, 0.9], [0.8, 0.2], [0.0, 1.0]], np.float32)
    assert calibration.fit_temperature(sure, np.array([1, 0, 1])) == calibration.COLDEST
    assert calibration.fit_temperature(sure, np.array([0, 1, 0])) == calibration.HOTTEST


@pytest.mark.parametrize("by", ["accuracy", "f1"])
def test_no_threshold_is_better_than_the_one_that_is_chosen(by):
    rng = np.random.default_rng(1)
    positive = rng.random(150) < 0.2
    scores = np.round(np.clip(rng.normal(0.3 + 0.2 * positive, 0.2), 0, 1), 2).astype(np.float32)
    score = {"accuracy": accuracy_score, "f1": f1_score}[by]
    chosen = calibration.best_threshold(scores, positive, by)
    ours = score(positive, scores.astype(np.float64) >= chosen)
    assert ours == pytest.approx(max(score(positive, scores >= t) for t in np.linspace(0, 1, 999)))
    assert ours > score(positive, scores >= 0.5) or chosen == pytest.approx(0.5, abs=0.01)


def test_what_is_judged_teaches_nothing():
    fitted, judged = drawn(2, sharper=3), drawn(2, sharper=3, n=300)
    ours = calibration.calibrated(fitted, judged)
    other = calibration.calibrated(fitted, (judged[0], 1 - judged[1]))
    chosen = ("temperature", "threshold for accuracy", "threshold for f1")
    assert [ours[key] for key in chosen] == [other[key] for key in chosen]
    assert ours["ece"][1] < ours["ece"][0] and ours["loss"][1] < ours["loss"][0]
    after = calibration.scaled(judged[0], ours["temperature"])
    assert ours["loss"] == pytest.approx([log_loss(judged[1], p) for p in (judged[0], after)])
    said = calibrations.parts({f"{calibrations.ON}val": ours})
    assert "Chosen on val" in said[0].text and [row[0] for row in said[1].rows][:2] == [
        "ece",
        "loss",
    ]


@pytest.mark.parametrize(
    "split, calibrate, why",
    [
        ("test", "test", "neither learnt from nor is tested on: there is 'val'"),
        ("test", "train", "neither learnt from"),
        ("test", "train[:100]", "neither learnt from"),
        ("val", "val", "other examples"),
        ("train[95%:]", "val", "may have the same"),
    ],
)
def test_nothing_is_chosen_on_what_was_learnt_or_is_judged(split, calibrate, why):
    splits = {"train": "train[:90%]", "val": "train[90%:]", "test": "test"}
    config = {"data": {"splits": splits}}
    with pytest.raises(UserError, match=why):
        evaluate.check_calibration(config, "class", split, calibrate)
    evaluate.check_calibration(config, "class", "test", "val")
