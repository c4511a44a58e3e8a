"""Codes of images and their prior: what the prior sees, what is drawn by it, the losses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.data.images import Source
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals.codes import Evaluator
from bigmodel_jax.models.vqvae import Model
from bigmodel_jax.tasks.vqvae import Task, gumbel

BATCH = {
    "image": np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8),
    "label": np.array([0, 2, 1, 1], np.int32),
    "index": np.arange(4, dtype=np.int32),
    "valid": np.array([True, True, True, False]),
}


@pytest.fixture(scope="module")
def task():
    sizes = {"image_size": 8, "channels": 1, "num_classes": 3, "width": 4, "codes": 6, "dim": 2}
    prior = {"width": 8, "num_layers": 1, "num_heads": 2}
    return Task(Model(**sizes, prior=prior))


@pytest.fixture(scope="module")
def variables(task):
    return sharding.unbox(jax.jit(task.init)(jax.random.key(0), BATCH))


def test_the_prior_sees_the_class_and_the_codes_before(task, variables):
    index, label = jnp.array([[0, 5, 2, 1]] * 3), jnp.array([0, 1, 2])
    logits = np.asarray(task._of(variables, "foretell", index, label))
    assert logits.shape == (3, 4, 6)
    assert (np.abs(logits[0] - logits[1]).max(-1) > 1e-4).all()  # of another class
    other = np.asarray(task._of(variables, "foretell", index.at[:, 2].set(3), label))
    np.testing.assert_allclose(other[:, :3], logits[:, :3], atol=1e-6)
    assert (np.abs(other[:, 3] - logits[:, 3]).max(-1) > 1e-4).all()


def test_codes_are_written_one_by_one_as_the_prior_foretells_them(task, variables):
    luck = jnp.asarray(np.random.default_rng(1).gumbel(size=(3, 4, 6)), jnp.float32)
    label = jnp.array([0, 1, 2])
    written = task._of(variables, "write", label, luck)
    # What the whole sequence foretells, with the same luck, is what was written.
    logits = task._of(variables, "foretell", written, label)
    np.testing.assert_array_equal((logits + luck).argmax(-1), written)


def test_what_is_written_has_the_chances_that_the_prior_gives(task, variables):
    noise = jax.random.normal(jax.random.key(0), (4000, *task.noise_shape))
    label = jnp.zeros(4000, jnp.int32)
    first = task._of(variables, "write", label, gumbel(noise))[:, 0]
    logits = task._of(variables, "foretell", jnp.zeros((1, 4), jnp.int32), label[:1])[0, 0]
    shares = np.bincount(first, minlength=6) / 4000
    np.testing.assert_allclose(shares, jax.nn.softmax(logits), atol=0.03)


def test_the_losses_are_loops_over_real_images(task, variables):
    loss, aux = task.loss(variables, BATCH, jax.random.key(0), train=False)
    index = np.asarray(task.encode(variables, BATCH))
    copies = np.asarray(task.reconstruct(variables, BATCH), np.float64)
    book = np.asarray(variables["codebook"]["codebook"]["embedding"])
    x = task._of(variables, "_encoded", task.inputs(BATCH)[0])
    logits = np.asarray(jax.nn.log_softmax(task._of(variables, "foretell", index, BATCH["label"])))
    total, prior = 0.0, 0.0
    for i in range(3):
        image = BATCH["image"][i] / 255
        total -= (image * np.log(copies[i]) + (1 - image) * np.log1p(-copies[i])).mean()
        total += 0.25 * np.square(np.asarray(x[i]) - book[index[i]]).mean()
        prior -= sum(logits[i, place, code] for place, code in enumerate(index[i]))
    assert loss.weight == 3 and float(loss.total) == pytest.approx(total, rel=1e-4)
    assert aux.metrics["prior"].weight == 12
    assert float(aux.metrics["prior"].total) == pytest.approx(prior, rel=1e-4)
    shares = np.bincount(index[:3].ravel(), minlength=6) / 12
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    assert float(aux.metrics["perplexity"].total) == pytest.approx(np.exp(entropy), rel=1e-4)
    unused = aux.metrics["unused"]
    assert float(unused.total / unused.weight) == pytest.approx((shares == 0).mean())


def test_an_evaluation_counts_the_codes_of_the_whole_split(task, variables, tmp_path):
    reader = dict(name="synthetic_images", train_size=20, test_size=8, size=8, channels=1)

    def opened(split, batch_size):
        given: dict[str, Any] = dict(reader=reader, splits={split: split}, split=split)
        given |= dict(training=False, image_size=8, channels=1, workers=0)
        return Source(**given, batch_size=batch_size, data_dir=str(tmp_path))

    mesh = sharding.make_mesh({"data": 1}, jax.devices()[:1])
    with sharding.use(mesh, {}):
        evaluator = Evaluator(split="train", task=task, open_source=opened, mesh=mesh, batch_size=8)
        numbers = evaluator.run(variables)
        images = opened("train", 20).images(np.arange(20))
        index = np.asarray(task.encode(variables, {"image": images}))
    shares = np.bincount(index.ravel(), minlength=6) / index.size
    shares = shares[shares > 0]
    assert numbers["used"] == len(shares)
    assert numbers["perplexity"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert evaluator.details["picture_copies"].dtype == np.uint8


def test_an_optimizer_without_the_players_is_refused(task):
    with pytest.raises(UserError, match="config.optimizer names the players of this task"):
        task.step({"codes": None, "generator": None})
