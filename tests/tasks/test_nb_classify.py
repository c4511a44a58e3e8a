"""The naive-Bayes start: its ratios, its streaming, and what they buy."""

import types

import flax.linen as nn
import jax
import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.models.bag import Model
from bigmodel_jax.tasks.nb_classify import Task, log_count_ratios
from tests.ngrams_by_loop import ngrams

VOCABULARY, CLASSES, N, BUCKETS = 12, 3, 2, 50


def make_batches(rows=60, length=6, size=10, classes=CLASSES):
    """Texts in which id 1 + label is more frequent than others, in batches with padding rows."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, classes, rows).astype(np.int32)
    tokens = rng.integers(1, VOCABULARY, (rows, length)).astype(np.int32)
    tokens[:, 0] = np.where(rng.random(rows) < 0.8, 1 + label, tokens[:, 0])
    mask = np.arange(length) < rng.integers(1, length + 1, (rows, 1))
    valid = np.ones(rows, bool)
    valid[-3:] = False
    data = {"tokens": tokens * mask, "mask": mask, "label": label, "valid": valid}
    return [{k: v[i : i + size] for k, v in data.items()} for i in range(0, rows, size)]


def documents(batches):
    """(label, set of hashed n-grams) of every real text."""
    for batch in batches:
        for tokens, mask, label, valid in zip(
            batch["tokens"], batch["mask"], batch["label"], batch["valid"], strict=True
        ):
            if valid:
                yield label, set(ngrams(tokens[mask], N, BUCKETS))


def count(batches, classes=CLASSES):
    """How many texts of each class hold a feature, however often they do."""
    counts = np.zeros((classes, BUCKETS), int)
    for label, ids in documents(batches):
        counts[label, list(ids)] += 1
    return counts


def make_task(classes=CLASSES, **options):
    model = Model(VOCABULARY, classes, N, BUCKETS, naive_bayes=True, pooling="sum")
    task = Task(model, **options)
    return task, nn.unbox(task.init(jax.random.key(0), make_batches(classes=classes)[0]))


def test_ratios_of_two_classes_are_the_formula_of_the_paper():
    """Wang and Manning 2012, section 2: r = log((p / |p|_1) / (q / |q|_1))."""
    negative, positive = counts = np.array([[3, 0, 5, 1], [1, 0, 2, 6]])
    alpha = 0.5
    p, q = alpha + positive, alpha + negative
    r = np.log((p / np.abs(p).sum()) / (q / np.abs(q).sum()))
    ratios = log_count_ratios(counts, alpha)
    assert ratios.dtype == np.float32
    np.testing.assert_allclose(ratios, [-r, r], rtol=1e-6)


def test_ratios_agree_with_multinomial_naive_bayes_of_scikit_learn():
    bayes = pytest.importorskip("sklearn.naive_bayes")
    features = np.random.default_rng(1).integers(0, 2, (40, VOCABULARY))
    labels = np.random.default_rng(2).integers(0, CLASSES, 40)
    counts = np.stack([features[labels == c].sum(0) for c in range(CLASSES)])
    ratios = log_count_ratios(counts, alpha=1.0)
    for c in range(CLASSES):
        rest, own = bayes.MultinomialNB(alpha=1.0).fit(features, labels == c).feature_log_prob_
        np.testing.assert_allclose(ratios[c], own - rest, rtol=1e-5, atol=1e-6)


def test_fit_writes_the_ratios_and_nothing_else():
    task, variables = make_task(alpha=0.7)
    fitted = task.fit(variables, make_batches())
    counts = count(make_batches())
    want = np.where(counts.sum(0) > 0, log_count_ratios(counts, 0.7), 0).T
    ratios = fitted["naive_bayes"]["ratios"]
    np.testing.assert_allclose(ratios, want, rtol=1e-6)
    assert (ratios == 0).all(1).any()  # some bucket was never seen
    before = variables["naive_bayes"]["ratios"]
    assert (ratios.shape, ratios.dtype) == (before.shape, before.dtype)
    assert fitted["params"] is variables["params"]


def test_rare_features_are_taken_out():
    counts = count(make_batches()).sum(0)
    limit = int(np.median(counts))
    task, variables = make_task(min_count=limit)
    ratios = task.fit(variables, make_batches())["naive_bayes"]["ratios"]
    assert ((ratios != 0).any(1) == (counts >= limit)).all()
    assert 0 < (ratios != 0).any(1).sum() < BUCKETS


@pytest.mark.parametrize("classes", [2, 5])
def test_before_any_step_the_fitted_model_is_naive_bayes_and_better_than_chance(classes):
    batches = make_batches(rows=300, classes=classes)
    task, variables = make_task(classes)
    fitted = task.fit(variables, batches)
    ratios = fitted["naive_bayes"]["ratios"]
    labels = np.array([label for label, _ in documents(batches)])
    logits = [np.asarray(task.predict(fitted, b)["logits"])[b["valid"]] for b in batches]
    logits = np.concatenate(logits)
    expected = np.stack([ratios[sorted(ids)].sum(0) for _, ids in documents(batches)])
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    assert (logits.argmax(1) == labels).mean() > 1.5 / classes


def test_a_model_without_ratios_and_a_zero_alpha_are_refused():
    with pytest.raises(UserError, match="naive_bayes=True"):
        Task(types.SimpleNamespace(num_classes=2))
    with pytest.raises(UserError, match="alpha is 0"):
        make_task(alpha=0)
