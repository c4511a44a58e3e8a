"""Multi-label classification against optax and scikit-learn's weights."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.tasks.multilabel import Task


class Given(nn.Module):
    """Its logits are the tokens, turned to floats."""

    num_classes: int = 5

    def __call__(self, tokens, mask, *, train=False):
        return tokens.astype(jnp.float32) / 4


def make_batch(rows=8, classes=5):
    rng = np.random.default_rng(0)
    return {
        "tokens": rng.integers(-9, 9, (rows, classes)).astype(np.int32),
        "mask": np.ones((rows, classes), bool),
        "label": rng.integers(0, 2, (rows, classes)).astype(np.float32),
        "valid": np.arange(rows) < rows - 1,
    }


def loss(task, batch, variables=None, train=True):
    value, aux = task.loss(variables or {}, batch, None, train=train)
    return float(value.total / value.weight), aux


def test_the_loss_is_the_mean_binary_cross_entropy_of_the_real_rows():
    batch = make_batch()
    expected = optax.sigmoid_binary_cross_entropy(
        (batch["tokens"] / 4).astype(np.float32), batch["label"]
    )[:7].mean()
    assert loss(Task(Given()), batch)[0] == pytest.approx(float(expected), rel=1e-6)


def test_subset_accuracy_counts_texts_with_every_label_right():
    batch = make_batch()
    batch["label"][:3] = batch["tokens"][:3] >= 0
    right = ((batch["tokens"] >= 0) == batch["label"]).all(1)[:7].mean()
    metrics = loss(Task(Given()), batch)[1].metrics["subset_accuracy"]
    assert float(metrics.total / metrics.weight) == pytest.approx(right) and right >= 3 / 7


def test_balanced_weights_make_presence_and_absence_weigh_the_same():
    batch, task = make_batch(), Task(Given(), pos_weight="balanced")
    variables = task.init(jax.random.key(0), batch)
    weights = task.fit(variables, [batch, batch])["pos_weight"]
    there = batch["label"][:7].sum(0)
    np.testing.assert_allclose(weights, (7 - there) / there, rtol=1e-6)
    each = optax.sigmoid_binary_cross_entropy(
        (batch["tokens"] / 4).astype(np.float32), batch["label"]
    )
    expected = (each * np.where(batch["label"] > 0, weights, 1))[:7].mean()
    found = loss(task, batch, {"pos_weight": jnp.asarray(weights)})[0]
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_a_label_that_nobody_has_keeps_its_weight():
    batch = make_batch()
    batch["label"][:, 0] = 0
    task = Task(Given(), pos_weight="balanced")
    weights = task.fit(task.init(jax.random.key(0), batch), [batch])["pos_weight"]
    assert weights[0] == 1 and np.isfinite(weights).all()


def test_other_weights_are_refused():
    with pytest.raises(UserError, match='"balanced" or left out'):
        Task(Given(), pos_weight="balance")  # pyright: ignore
