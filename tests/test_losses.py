"""Losses against optax and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bigmodel_jax import losses
from bigmodel_jax.errors import UserError
from bigmodel_jax.tasks.classify import Task

LOGITS = jax.random.normal(jax.random.key(0), (7, 5)) * 3
LABELS = jnp.array([0, 1, 2, 3, 4, 0, 1])
ONE_HOT = jax.nn.one_hot(LABELS, 5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_cross_entropy_is_optaxs(smoothing):
    expected = optax.softmax_cross_entropy(LOGITS, optax.smooth_labels(ONE_HOT, smoothing))
    found = losses.softmax_cross_entropy(LOGITS, LABELS, smoothing)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_sigmoid_cross_entropy_is_optaxs(smoothing):
    targets = ONE_HOT * (1 - smoothing) + smoothing / 2
    expected = optax.sigmoid_binary_cross_entropy(LOGITS, targets)
    found = losses.sigmoid_cross_entropy(LOGITS, ONE_HOT, smoothing)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_huge_logits_stay_finite():
    logits = jnp.array([[1e4, -1e4]])
    for found in (
        losses.softmax_cross_entropy(logits, jnp.array([1])),
        losses.sigmoid_cross_entropy(logits, jnp.array([[0.0, 1.0]])),
    ):
        assert np.isfinite(found).all()


def test_squared_error_is_computed_in_float32():
    found = losses.squared_error(jnp.array([3.0], jnp.bfloat16), jnp.array([1], jnp.int32))
    assert found.dtype == jnp.float32 and found.tolist() == [4.0]


class Given:
    """A "model" that answers with given logits."""

    num_classes = 5

    def apply(self, variables, tokens, mask, **_):
        return variables["params"]["logits"]


def batch(valid=7):
    dummy = jnp.zeros((7, 1), jnp.int32)
    return {"tokens": dummy, "mask": dummy > 0, "label": LABELS, "valid": jnp.arange(7) < valid}


def task_loss(valid=7, train=False, **options):
    variables = {"params": {"logits": LOGITS}}
    value, aux = Task(Given(), **options).loss(variables, batch(valid), None, train=train)
    return float(value.total / value.weight), aux


@pytest.mark.parametrize("loss", ["softmax", "sigmoid", "squared_error"])
def test_the_tasks_loss_is_the_mean_over_valid_rows(loss):
    p = jax.nn.softmax(LOGITS)
    per_row = {
        "softmax": optax.softmax_cross_entropy_with_integer_labels(LOGITS, LABELS),
        "sigmoid": optax.sigmoid_binary_cross_entropy(LOGITS, ONE_HOT).sum(-1),
        "squared_error": jnp.square(p - ONE_HOT).sum(-1),
    }[loss]
    value, aux = task_loss(valid=4, loss=loss)
    np.testing.assert_allclose(value, per_row[:4].mean(), rtol=1e-5)
    assert float(aux.metrics["accuracy"].weight) == 4


def test_class_weights_weigh_the_mean():
    weights = np.array([1.0, 2.0, 3.0, 4.0, 5.0], np.float32)
    rows = optax.softmax_cross_entropy_with_integer_labels(LOGITS, LABELS)
    expected = np.average(rows, weights=weights[np.asarray(LABELS)])
    np.testing.assert_allclose(task_loss(class_weights=tuple(weights))[0], expected, rtol=1e-5)


def test_only_training_smooths():
    plain, smoothed = task_loss()[0], task_loss(label_smoothing=0.2, train=True)[0]
    assert task_loss(label_smoothing=0.2)[0] == plain != smoothed


@pytest.mark.parametrize(
    "options, complaint",
    [
        (dict(loss="softmx"), "Did you mean 'softmax'"),
        (dict(class_weights=(1.0,)), "1 weights for 5 classes"),
    ],
)
def test_bad_options_are_named(options, complaint):
    with pytest.raises(UserError, match=complaint):
        Task(Given(), **options)


@pytest.mark.parametrize("length", [12, 13])
def test_cross_entropy_in_chunks_is_that_of_all_at_once(length):
    keys = jax.random.split(jax.random.key(0), 3)
    kernel = jax.random.normal(keys[0], (8, 50))
    hidden = jax.random.normal(keys[1], (3, length, 8))
    targets = jax.random.randint(keys[2], (3, length), 0, 50)

    def loss(chunk, kernel, hidden):
        nats, log_z = losses.chunked_cross_entropy(lambda h: h @ kernel, hidden, targets, chunk)
        return (nats + 1e-2 * log_z**2).sum(), nats

    def all_of(chunk):
        return jax.value_and_grad(functools.partial(loss, chunk), (0, 1), has_aux=True)(
            kernel, hidden
        )

    whole, parts = all_of(0), all_of(4)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=1e-5), whole, parts)
    expected = losses.softmax_cross_entropy(hidden @ kernel, targets)
    np.testing.assert_allclose(whole[0][1], expected, rtol=1e-5)


def test_cross_entropy_in_chunks_never_holds_all_logits():
    kernel = jnp.zeros((8, 1000))

    def loss(chunk, hidden):
        nats, _ = losses.chunked_cross_entropy(
            lambda h: h @ kernel, hidden, jnp.zeros((2, 64), jnp.int32), chunk
        )
        return nats.sum()

    def largest(chunk):
        text = str(jax.make_jaxpr(jax.grad(functools.partial(loss, chunk)))(jnp.ones((2, 64, 8))))
        return "f32[2,64,1000]" in text, "f32[2,8,1000]" in text

    assert largest(0) == (True, False) and largest(8) == (False, True)
