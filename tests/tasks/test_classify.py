"""Classification: its loss, class weights, and what presence changes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from bigmodel_jax.errors import UserError
from bigmodel_jax.tasks.classify import Task

CLASSES = 3


class Given(nn.Module):
    """Its logits are the tokens, turned to floats: [batch, classes]."""

    num_classes: int = CLASSES

    def __call__(self, tokens, mask, *, train=False, presence=None):
        logits = tokens.astype(jnp.float32) / 4
        if presence is not None:
            logits *= presence
        return logits


def make_batch(rows=8, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "tokens": rng.integers(-9, 9, (rows, CLASSES)).astype(np.int32),
        "mask": np.ones((rows, CLASSES), bool),
        "label": rng.integers(0, CLASSES, rows).astype(np.int32),
        "valid": np.arange(rows) < rows - 1,
    }


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def loss(task, batch, train):
    value, aux = task.loss({}, batch, None, train=train)
    return float(value.total / value.weight), aux


def test_the_loss_is_the_cross_entropy_of_what_is_real():
    batch = make_batch()
    log_p = log_softmax(batch["tokens"].astype(np.float64) / 4)[:7]
    nats = -log_p[np.arange(7), batch["label"][:7]]
    value, aux = loss(Task(Given()), batch, True)
    assert value == pytest.approx(nats.mean(), rel=1e-5)
    right = (log_p.argmax(-1) == batch["label"][:7]).mean()
    assert float(aux.metrics["accuracy"].total) / 7 == pytest.approx(right)


def test_logits_are_those_of_predict_and_presence_reaches_the_model():
    batch, task = make_batch(), Task(Given())
    np.testing.assert_array_equal(task.logits({}, batch), task.predict({}, batch)["logits"])
    absent = task.logits({}, batch, presence=np.zeros((8, CLASSES), np.float32))
    assert not np.asarray(absent).any()


def labelled(labels, size=4):
    """Batches with these labels, the last filled up with rows that do not count."""
    labels = np.asarray(labels, np.int32)
    for i in range(0, len(labels), size):
        part = np.resize(labels[i : i + size], size)
        yield {"label": part, "valid": np.arange(size) < len(labels[i : i + size])}


def test_balanced_weights_are_scikit_learns():
    labels = [0] * 7 + [1] * 2 + [2]
    task = Task(Given(), class_weights="balanced")
    variables = task.init(jax.random.key(0), make_batch())
    assert np.asarray(variables["class_weights"]).tolist() == [1, 1, 1]
    fitted = task.fit(variables, labelled(labels))["class_weights"]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(fitted, expected, rtol=1e-6)
    batch = make_batch()
    given = loss(Task(Given(), class_weights=expected.tolist()), batch, True)[0]
    value, _ = task.loss({"class_weights": jnp.asarray(fitted)}, batch, None, train=True)
    assert float(value.total / value.weight) == pytest.approx(given, rel=1e-6)


def test_a_class_that_does_not_occur_weighs_one_and_changes_no_other():
    task = Task(Given(), class_weights="balanced")
    variables = task.init(jax.random.key(0), make_batch())
    fitted = task.fit(variables, labelled([0, 0, 0, 2]))["class_weights"]
    np.testing.assert_allclose(fitted, [4 / 6, 1, 4 / 2], rtol=1e-6)


def test_without_balanced_weights_no_data_are_read():
    def unread():
        raise AssertionError("the training part was opened")
        yield

    assert Task(Given()).fit({"params": {}}, unread()) == {"params": {}}


def test_misspelt_weights_are_refused():
    with pytest.raises(UserError, match="'balance', but it is \"balanced\" or numbers"):
        Task(Given(), class_weights="balance")
