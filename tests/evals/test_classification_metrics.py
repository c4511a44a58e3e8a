"""Classification metrics are scikit-learn's, and count every example of a split exactly once."""

import jax
import numpy as np
import pytest
from sklearn import metrics as sk

from bigmodel_jax import sharding
from bigmodel_jax.evals.classification import Evaluator
from bigmodel_jax.evals.classification_metrics import compute, roc_auc
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux


def scores(seed, examples, classes, ties=False):
    """(probabilities [examples, classes], labels [examples])."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(examples, classes))
    if ties:
        logits = np.round(logits)
    labels = np.where(
        rng.random(examples) < 0.5, logits.argmax(-1), rng.integers(classes, size=examples)
    )
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True), labels


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("ties", [False, True])
def test_metrics_are_those_of_scikit_learn(classes, ties):
    probabilities, labels = scores(classes, 211, classes, ties)
    names = [f"class {c}" for c in range(classes)]
    ours, confusion = compute(probabilities, labels, names)

    predicted = probabilities.argmax(-1)
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted), abs=1e-12)
    for average in ("macro", None):
        theirs = sk.precision_recall_fscore_support(labels, predicted, average=average)
        for name, value in zip(("precision", "recall", "f1"), theirs, strict=False):
            keys = [name] if average else [f"{name}/{n}" for n in names]
            np.testing.assert_allclose([ours[k] for k in keys], np.ravel(value), atol=1e-12)
    np.testing.assert_array_equal(confusion, sk.confusion_matrix(labels, predicted))
    if classes == 2:
        area = sk.roc_auc_score(labels, probabilities[:, 1])
    else:
        area = sk.roc_auc_score(labels, probabilities, multi_class="ovr")
    assert ours["roc_auc"] == pytest.approx(area, abs=1e-12)


def test_a_class_that_is_never_predicted_or_never_occurs_counts_as_in_scikit_learn():
    labels = np.array([0, 0, 1, 1, 1, 2])
    predicted = np.array([0, 1, 1, 1, 0, 0])  # 2 occurs and is not predicted; 3 is in neither
    ours, _ = compute(np.eye(4)[predicted], labels, "abcd")
    theirs = sk.precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    np.testing.assert_allclose([ours[k] for k in ("precision", "recall", "f1")], theirs[:3])


def test_calibration_error_is_the_mean_gap_of_fifteen_bins():
    probabilities, labels = scores(3, 500, 3)
    confidence, right = probabilities.max(-1), probabilities.argmax(-1) == labels
    expected = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    ours, _ = compute(probabilities, labels, "abc")
    assert ours["ece"] == pytest.approx(expected, abs=1e-12) and expected > 0.01


def test_calibration_error_of_a_certain_model_is_its_error_rate():
    ours, _ = compute(np.eye(2)[[0, 0, 1, 1]], np.array([0, 1, 1, 1]), "ab")
    assert ours["ece"] == pytest.approx(0.25)


def test_roc_auc_of_all_equal_scores_is_a_half():
    assert roc_auc(np.zeros(10), np.arange(10) < 3) == 0.5


def test_roc_auc_of_one_kind_of_examples_is_left_out():
    ours, _ = compute(np.array([[0.3, 0.7], [0.6, 0.4]]), np.array([1, 1]), ["neg", "pos"])
    assert "roc_auc" not in ours


class Scored:
    """A source whose batches hold given logits; the last is filled up with rows of rubbish."""

    label_names = ("neg", "pos", "none")

    def __init__(self, logits, labels, batch_size):
        self.logits, self.labels, self.batch_size = logits, labels, batch_size
        self.examples = len(labels)
        self.steps_per_epoch = -(-self.examples // batch_size)

    def rows(self, step):
        rows = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        return np.where(rows < self.examples, rows, -1)

    def batch(self, step):
        rows = self.rows(step)
        valid = rows >= 0
        logits = np.where(valid[:, None], self.logits[rows], np.nan).astype(np.float32)
        label = np.where(valid, self.labels[rows], 0).astype(np.int32)
        return {"logits": logits, "label": label, "valid": valid}


class Given:
    """A task that predicts the logits of the batch."""

    def predict(self, variables, batch):
        return {"probabilities": jax.nn.softmax(batch["logits"] * variables["scale"])}

    def loss(self, variables, batch, rng, *, train):
        log_p = jax.nn.log_softmax(batch["logits"] * variables["scale"])
        chosen = jax.numpy.take_along_axis(log_p, batch["label"][:, None], -1)[:, 0]
        return mean(-chosen, batch["valid"]), Aux()


@pytest.mark.parametrize("batch_size", [8, 20, 64, 256])
def test_padding_rows_and_batch_size_change_no_metric(batch_size):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(61, 3)), rng.integers(3, size=61)
    evaluator = Evaluator(
        split="test",
        task=Given(),
        open_source=lambda split, batch_size: Scored(logits, labels, batch_size),
        mesh=sharding.make_mesh({"data": -1}),
        batch_size=batch_size,
    )
    numbers = evaluator.run({"scale": np.float32(1)})

    probabilities = jax.device_get(jax.nn.softmax(logits.astype(np.float32)))
    expected, confusion = compute(probabilities, labels, Scored.label_names)
    assert evaluator.details["examples"] == 61
    assert np.sum(evaluator.details["confusion_matrix"]) == 61
    np.testing.assert_array_equal(evaluator.details["confusion_matrix"], confusion)
    assert numbers.pop("loss") == pytest.approx(sk.log_loss(labels, probabilities), rel=1e-6)
    assert numbers == {k: pytest.approx(v, abs=1e-12) for k, v in expected.items()}
