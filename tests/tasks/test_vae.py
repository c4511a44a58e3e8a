"""The bound of a variational autoencoder: its parts by formulas and loops, its noise by the example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.models import vae as model
from bigmodel_jax.tasks.vae import Task, divergence

RNG = np.random.default_rng(0)
BATCH = {
    "image": RNG.integers(0, 256, (4, 8, 8, 1), np.uint8),
    "label": np.array([0, 2, 1, 1], np.int32),
    "index": np.array([3, 0, 7, 0], np.int32),
    "valid": np.array([True, True, True, False]),
}


@pytest.fixture(scope="module")
def task():
    return Task(model.Model(image_size=8, channels=1, hidden=(6,), latent=2))


@pytest.fixture(scope="module")
def variables(task):
    return task.init(jax.random.key(0), BATCH)


def test_the_divergence_is_the_integral_of_its_definition():
    mean, log_variance = 0.7, -0.9
    x = np.linspace(-12, 12, 200_001)
    q = np.exp(-((x - mean) ** 2) / (2 * np.exp(log_variance))) / np.sqrt(
        2 * np.pi * np.exp(log_variance)
    )
    p = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    wanted = np.trapezoid(q * np.log(np.maximum(q, 1e-300) / p), x)
    both = divergence(jnp.array([mean, 0.0]), jnp.array([log_variance, 0.0]))
    assert float(both) == pytest.approx(wanted, rel=1e-5)  # a standard normal adds nothing


def test_the_loss_is_a_loop_over_images_and_pixels(task, variables):
    loss, aux = task.loss(variables, BATCH, jax.random.key(0), train=False)
    total, copied = 0.0, 0.0
    for row in range(3):
        key = jax.random.fold_in(jax.random.key(0), BATCH["index"][row])
        noise = jax.random.normal(key, (1, 2))
        image = BATCH["image"][row : row + 1] / np.float32(255)
        logits, mean, log_variance = task.model.apply(variables, image, noise)
        p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
        total -= (image * np.log(p) + (1 - image) * np.log1p(-p)).sum()
        total += 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance)
        copied += np.square(p - image).mean()
    assert loss.weight == 3 and float(loss.total) == pytest.approx(float(total), rel=1e-5)
    assert float(aux.metrics["error"].total) == pytest.approx(float(copied), rel=1e-5)


def test_an_evaluation_draws_the_same_for_an_example_in_any_batch(task, variables):
    def alone(row, train):
        batch = {k: v[row : row + 1] for k, v in BATCH.items()}
        return float(task.loss(variables, batch, jax.random.key(5), train=train)[0].total)

    whole = float(task.loss(variables, BATCH, jax.random.key(1), train=False)[0].total)
    assert sum(alone(i, False) for i in range(4)) == pytest.approx(whole, rel=1e-6)
    assert alone(0, True) != alone(0, False)


def test_an_anomaly_counts_in_no_loss_and_is_scored_by_the_bound_at_the_mean(task, variables):
    odd = Task(task.model, anomaly=2)
    loss, _ = odd.loss(variables, BATCH, jax.random.key(0), train=True)
    assert loss.weight == 2
    image = BATCH["image"] / np.float32(255)
    logits, mean, log_variance = task.model.apply(variables, image, jnp.zeros((4, 2)))
    nats = jnp.logaddexp(0.0, logits) - logits * image
    wanted = nats.sum((1, 2, 3)) + divergence(mean, log_variance)
    np.testing.assert_allclose(odd.predict(variables, BATCH)["values"], wanted, rtol=1e-5)
    copies = odd.reconstruct(variables, BATCH)
    np.testing.assert_allclose(copies, jax.nn.sigmoid(logits), rtol=1e-5)
