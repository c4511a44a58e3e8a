"""Regression: standardised inside, in the label's unit outside."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bigmodel_jax import losses
from bigmodel_jax.tasks.regress import Task


class Given(nn.Module):
    """Its one output is the first token, turned to a float."""

    def __call__(self, tokens, mask, *, train=False):
        return tokens[:, :1].astype(jnp.float32) / 4


def make_batch(rows=9, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "tokens": rng.integers(-9, 9, (rows, 2)).astype(np.int32),
        "mask": np.ones((rows, 2), bool),
        "label": (1e4 + 250 * rng.normal(size=rows)).astype(np.float32),
        "valid": np.arange(rows) < rows - 2,
    }


def fitted(task, batches):
    variables = task.fit(task.init(jax.random.key(0), batches[0]), batches)
    return jax.tree.map(jnp.asarray, variables)


def test_the_scaling_is_that_of_the_real_rows():
    batches = [make_batch(seed=s) for s in range(3)]
    labels = np.concatenate([b["label"][:7] for b in batches])
    scaling = fitted(Task(Given()), batches)["scaling"]
    assert float(scaling["mean"]) == pytest.approx(labels.mean(), rel=1e-6)
    assert float(scaling["deviation"]) == pytest.approx(labels.std(), rel=1e-5)


@pytest.mark.parametrize("kind", ["squared", "huber"])
def test_the_loss_is_of_standardised_numbers_and_predictions_are_in_the_labels_unit(kind):
    batch, task = make_batch(), Task(Given(), loss=kind)
    variables = fitted(task, [batch])
    labels = batch["label"][:7].astype(np.float64)
    outputs = batch["tokens"][:7, 0] / 4
    wanted = (labels - labels.mean()) / labels.std()
    expected = {
        "squared": np.square(outputs - wanted),
        "huber": 2 * optax.huber_loss(outputs, wanted),  # theirs is half the squared error
    }[kind]
    value, aux = task.loss(variables, batch, None, train=True)
    assert float(value.total / value.weight) == pytest.approx(float(expected.mean()), rel=1e-4)
    values = np.asarray(task.predict(variables, batch)["values"])[:7]
    np.testing.assert_allclose(values, outputs * labels.std() + labels.mean(), rtol=1e-6)
    mae = aux.metrics["mae"]
    expected_mae = np.abs(values - labels).mean()
    assert float(mae.total / mae.weight) == pytest.approx(expected_mae, rel=1e-4)


def test_equal_labels_are_not_divided_by_zero():
    batch = make_batch() | {"label": np.full(9, 3.0, np.float32)}
    task = Task(Given())
    values = task.predict(fitted(task, [batch]), batch)["values"]
    assert np.isfinite(np.asarray(values)).all()


def test_huber_and_squared_error_agree_near_the_target():
    near, far = jnp.array([0.0, 0.5, 1.0]), jnp.array([3.0])
    zeros = jnp.zeros(3)
    np.testing.assert_allclose(losses.huber(near, zeros), losses.squared_error(near, zeros))
    assert losses.huber(far, zeros[:1]) == 5 < losses.squared_error(far, zeros[:1])
