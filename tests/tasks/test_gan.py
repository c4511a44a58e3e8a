"""Two players: the losses of each, who sees whose parameters, the penalty of the gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import optim, steps
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError
from bigmodel_jax.models.dcgan import Model
from bigmodel_jax.tasks.gan import KINDS, Task

RNG = np.random.default_rng(0)
BATCH = {
    "image": RNG.integers(0, 256, (4, 8, 8, 1), np.uint8),
    "label": np.array([0, 2, 1, 1], np.int32),
    "index": np.arange(4, dtype=np.int32),
    "valid": np.array([True, True, True, False]),
}
PLAYERS = {
    player: dict(name="sgd", lr=0.1, train=(f"{player}/.*",))
    for player in ("discriminator", "generator")
}


@pytest.fixture(scope="module")
def task():
    sizes = {"image_size": 8, "channels": 1, "num_classes": 3, "latent": 2, "width": 4}
    return Task(Model(**sizes), penalty=2.0)


@pytest.fixture(scope="module")
def variables(task):
    with jax.numpy_dtype_promotion("strict"):
        return jax.jit(task.init)(jax.random.key(0), BATCH)


def unboxed(variables):
    from bigmodel_jax import sharding

    return sharding.unbox(variables)


def test_the_losses_are_those_of_the_papers():
    x = np.linspace(-3, 3, 7)
    p = 1 / (1 + np.exp(-x))
    (real, painted), generator = KINDS["non_saturating"]
    np.testing.assert_allclose(real(x), -np.log(p), rtol=1e-5)
    np.testing.assert_allclose(painted(x), -np.log(1 - p), rtol=1e-5)
    np.testing.assert_allclose(generator(x), -np.log(p), rtol=1e-5)
    (real, painted), generator = KINDS["hinge"]
    np.testing.assert_allclose(real(x), np.maximum(0, 1 - x))
    np.testing.assert_allclose(painted(x), np.maximum(0, 1 + x))
    np.testing.assert_allclose(generator(x), -x)


def test_the_discriminators_loss_is_a_loop_over_images_with_the_penalty_of_each(task, variables):
    variables, rng = unboxed(variables), jax.random.key(3)
    loss, aux = task.discriminator_loss(variables, BATCH, rng, train=True)
    painted, _ = task._painted(variables, BATCH, rng)
    total, squares, right = 0.0, 0.0, 0
    for i in range(3):
        label = BATCH["label"][i : i + 1]

        def verdict(image, label=label):
            params = {"params": variables["params"]}
            return task.model.apply(params, image[None], label, method="judge")[0]

        image = jnp.asarray(BATCH["image"][i] / np.float32(127.5) - 1)
        real, fake = float(verdict(image)), float(verdict(painted[i]))
        penalty = float(jnp.square(jax.grad(verdict)(image)).sum())
        total += np.log1p(np.exp(-real)) + np.log1p(np.exp(fake)) + 0.5 * 2.0 * penalty
        squares, right = squares + penalty, right + (real > 0) + (fake < 0)
    assert loss.weight == 3 and float(loss.total) == pytest.approx(total, rel=1e-4)
    assert float(aux.metrics["penalty"].total) == pytest.approx(squares, rel=1e-4)
    accuracy = aux.metrics["accuracy"]
    assert (float(accuracy.total), float(accuracy.weight)) == (right, 6)


def test_the_generator_moves_against_what_the_discriminator_has_become(task, variables):
    variables = unboxed(variables)
    players = optim.build(PLAYERS, Clock(4, 4), variables["params"])
    step, rng = task.step(players), jax.random.key(5)
    after, metrics = jax.jit(step.update)(steps.create_state(step, variables), BATCH, rng)
    params, (first, second) = variables["params"], jax.random.split(rng)

    def moved(loss, params, player, key):
        def mean(part):
            given = {**variables, "params": {**params, player: part}}
            value, _ = loss(given, BATCH, key, train=True)
            return value.total / value.weight

        slope = jax.jit(jax.grad(mean))(params[player])
        return {**params, player: jax.tree.map(lambda x, g: x - 0.1 * g, params[player], slope)}

    params = moved(task.discriminator_loss, params, "discriminator", first)
    params = moved(task.generator_loss, params, "generator", second)
    for wanted, got in zip(*map(jax.tree.leaves, (params, after.params)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    assert {"discriminator/accuracy", "generator/loss"} <= metrics.keys()
    before, now = variables["batch_stats"], after.variables["batch_stats"]
    assert not np.array_equal(*(jax.tree.leaves(x)[0] for x in (before, now)))


def test_padding_changes_no_loss(task, variables):
    variables, rng = unboxed(variables), jax.random.key(3)
    other = {**BATCH, "image": BATCH["image"].copy(), "label": np.array([0, 2, 1, 0], np.int32)}
    other["image"][3] = 0
    for loss in (task.discriminator_loss, task.generator_loss):
        one, two = (float(loss(variables, b, rng, train=True)[0].total) for b in (BATCH, other))
        assert one == pytest.approx(two, rel=1e-5)


def test_an_optimizer_without_the_players_and_an_unknown_loss_are_refused(task):
    with pytest.raises(UserError, match="config.optimizer names the players of this task"):
        task.step(optim.build(dict(name="sgd", lr=0.1), Clock(4, 4), {"a": 0}))
    with pytest.raises(UserError, match="'hing'.* 'hinge'"):
        Task(task.model, kind="hing")
