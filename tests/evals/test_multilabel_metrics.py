"""Multi-label metrics are scikit-learn's."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from bigmodel_jax import blocks
from bigmodel_jax.evals.multilabel_metrics import average_precision, compute


def scores(seed, examples=211, classes=6, ties=False):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(examples, classes)) - 0.5
    if ties:
        logits = np.round(logits)
    labels = (logits + rng.normal(size=logits.shape) > 0).astype(np.uint8)
    return (1 / (1 + np.exp(-logits))).astype(np.float32), labels


@pytest.mark.parametrize("elements", [blocks.ELEMENTS, 100, 1])
@pytest.mark.parametrize("ties", [False, True])
def test_metrics_are_those_of_scikit_learn_in_whatever_blocks(ties, elements, monkeypatch):
    monkeypatch.setattr(blocks, "ELEMENTS", elements)
    probabilities, labels = scores(0, ties=ties)
    ours, predicted = compute(probabilities, labels, "abcdef"), probabilities >= 0.5
    expected = {
        "f1_micro": sk.f1_score(labels, predicted, average="micro"),
        "f1_macro": sk.f1_score(labels, predicted, average="macro"),
        "subset_accuracy": sk.accuracy_score(labels, predicted),
        "map": sk.average_precision_score(labels, probabilities, average="macro"),
        "roc_auc": sk.roc_auc_score(labels, probabilities, average="macro"),
    }
    each = sk.f1_score(labels, predicted, average=None)
    expected |= {f"f1/{name}": value for name, value in zip("abcdef", each, strict=True)}
    assert ours == pytest.approx(expected, abs=1e-12)


def test_labels_that_nobody_has_count_as_in_scikit_learn():
    probabilities, labels = scores(1)
    labels[:, 0], labels[:, 1] = 0, 1
    probabilities[:, 0] = 0.1  # neither there nor predicted: F1 is 0
    ours = compute(probabilities, labels, "abcdef")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f1 = sk.f1_score(labels, probabilities >= 0.5, average="macro", zero_division=0)
    assert ours["f1_macro"] == pytest.approx(f1)
    areas = [sk.roc_auc_score(labels[:, c], probabilities[:, c]) for c in range(2, 6)]
    assert ours["roc_auc"] == pytest.approx(np.mean(areas))
    precisions = [
        sk.average_precision_score(labels[:, c], probabilities[:, c]) for c in range(1, 6)
    ]
    assert ours["map"] == pytest.approx(np.mean(precisions))


def test_what_is_defined_for_no_label_is_left_out():
    ours = compute(np.full((3, 2), 0.2), np.zeros((3, 2), np.uint8), "ab")
    assert not {"map", "roc_auc"} & ours.keys() and ours["subset_accuracy"] == 1


def test_average_precision_of_a_perfect_and_of_a_useless_ranking():
    positive = np.arange(10) >= 7
    assert average_precision(np.arange(10), positive) == 1
    assert average_precision(np.zeros(10), positive) == pytest.approx(0.3)
    assert np.isnan(average_precision(np.zeros(3), np.zeros(3, bool)))
