"""The loss of diffusion by a loop over images; classes that are not told; guidance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.tasks.diffusion import Task

BATCH = {
    "image": np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), np.uint8),
    "label": np.array([0, 2, 1], np.int32),
    "index": np.array([4, 0, 9], np.int32),
    "valid": np.array([True, True, False]),
}


class Toy:
    """Says something of everything that it is told."""

    image_size, channels, num_classes = 4, 1, 3

    def apply(self, variables, z, time, label, **options):
        told = 0.1 * label.astype(jnp.float32) + time
        return z * variables["params"]["a"] + told[:, None, None, None]


VARIABLES = {"params": {"a": jnp.float32(0.5)}}


@pytest.mark.parametrize("prediction", ["epsilon", "v", "flow"])
def test_the_loss_is_a_loop_over_images_with_noise_of_their_own(prediction):
    task, total = Task(Toy(), prediction), 0.0
    for i in range(2):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), BATCH["index"][i]), 3)
        x = BATCH["image"][i] / 127.5 - 1
        e, t = np.asarray(jax.random.normal(keys[0], x.shape)), float(jax.random.uniform(keys[1]))
        if prediction == "flow":
            alpha, sigma, target = 1 - t, t, e - x
        else:
            alpha = np.cos((t + 0.008) / 1.008 * np.pi / 2) / np.cos(0.008 / 1.008 * np.pi / 2)
            sigma = np.sqrt(1 - alpha**2)
            target = e if prediction == "epsilon" else alpha * e - sigma * x
        said = 0.5 * (alpha * x + sigma * e) + 0.1 * BATCH["label"][i] + t
        total += np.square(said - target).mean()
    loss, _ = task.loss(VARIABLES, BATCH, jax.random.key(7), train=False)
    assert loss.weight == 2 and float(loss.total) == pytest.approx(total, rel=1e-4)


def test_while_training_some_classes_are_not_told_and_noise_is_the_steps():
    def of(labels, drop, seed=0, train=True):
        batch = {**BATCH, "label": np.array(labels, np.int32)}
        task = Task(Toy(), drop_class=drop)
        loss, _ = task.loss(VARIABLES, batch, jax.random.key(seed), train=train)
        return float(loss.total)

    assert of([0, 1, 2], 1.0) == of([2, 0, 1], 1.0) == of([3, 3, 3], 0.0)
    assert of([0, 1, 2], 0.0) != of([2, 0, 1], 0.0)
    assert of([0, 1, 2], 1.0, train=False) == of([0, 1, 2], 0.0, train=False)
    assert of([0, 1, 2], 0.0) != of([0, 1, 2], 0.0, seed=1)


def test_guidance_counts_what_the_class_adds_so_many_times():
    z, time = jnp.ones((2, 4, 4, 1)), jnp.array([0.2, 0.2])
    labels = np.array([0, 1])
    task = Task(Toy(), guidance=2.5)
    got = task._guided(VARIABLES, z, time, jnp.asarray(labels))[:, 0, 0, 0]
    plain = 0.5 + 0.1 * 3 + 0.2
    np.testing.assert_allclose(got, plain + 2.5 * (0.1 * labels - 0.3), rtol=1e-5)
    with pytest.raises(UserError, match="guidance is 2, which needs a model that knows of images"):
        Task(Toy(), guidance=2, drop_class=0.0)
    with pytest.raises(UserError, match="'epsilo'.* 'epsilon'"):
        Task(Toy(), "epsilo")


def test_samples_of_ddim_depend_on_their_noise_alone_and_those_of_ddpm_on_more():
    labels = jnp.array([0, 1])
    first, _ = jax.random.split(jax.random.key(1))
    noise = jax.random.normal(first, (2, 4, 4, 1))
    for eta, alike in ((0.0, True), (1.0, False)):
        task = Task(Toy(), "flow", sampling_steps=3, eta=eta)
        drawn = task.sample(VARIABLES, jax.random.key(1), labels)
        assert np.allclose(drawn, task.paint(VARIABLES, noise, labels), atol=1e-6) == alike
        assert float(drawn.min()) >= 0 and float(drawn.max()) <= 1
