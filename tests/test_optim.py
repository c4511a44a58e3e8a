"""Optimizers against optax's own aliases and closed forms; who owns what."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bigmodel_jax import optim, steps, trees
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean

CLOCK = Clock(steps_per_epoch=10, batch_size=4, total=20)
ALIASES = {
    "sgd": (dict(momentum=0.9, nesterov=True), lambda: optax.sgd(0.1, 0.9, nesterov=True)),
    "adagrad": ({}, lambda: optax.adagrad(0.1)),
    "rmsprop": (dict(decay=0.9), lambda: optax.rmsprop(0.1, 0.9)),
    "adam": ({}, lambda: optax.adam(0.1)),
    "adamw": (dict(weight_decay=0.1), lambda: optax.adamw(0.1, weight_decay=0.1, mask=KERNELS)),
    "lion": ({}, lambda: optax.lion(0.1, weight_decay=0.0)),
    "adafactor": ({}, lambda: optax.adafactor(0.1)),
    "lamb": (
        dict(weight_decay=0.1, eps=1e-6),
        lambda: optax.lamb(0.1, weight_decay=0.1, mask=KERNELS),
    ),
}


def KERNELS(params):
    return trees.map_paths(lambda path, _: path.endswith("kernel"), params)


def problem(seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    params = {"a": {"kernel": jax.random.normal(keys[0], (8, 4)), "bias": jnp.ones(4)}}
    x, y = jax.random.normal(keys[1], (16, 8)), jax.random.normal(keys[2], (16, 4))
    return {"params": params}, {"x": x, "y": y}


def loss(variables, batch, rng, *, train):
    layer = variables["params"]["a"]
    error = batch["x"] @ layer["kernel"] + layer["bias"] - batch["y"]
    return mean(jnp.square(error).sum(-1)), steps.Aux()


def run(spec, count=5):
    variables, batch = problem()
    optimizer = optim.build(spec, CLOCK, variables["params"])
    step = steps.counted(steps.gradient(loss, optimizer))
    state = steps.create_state(step, variables)
    rows = []
    for _ in range(count):
        state, row = jax.jit(step.update)(state, batch, jax.random.key(0))
        rows.append(row)
    return state, rows


@pytest.mark.parametrize("name", ALIASES)
def test_each_optimizer_moves_as_optaxs_own_does(name):
    options, alias = ALIASES[name]
    state, _ = run(dict(name=name, lr=0.1, **options))
    variables, batch = problem()
    params, tx = variables["params"], alias()
    memory = tx.init(params)
    for _ in range(5):
        grads = jax.grad(lambda p: loss({"params": p}, batch, None, train=True)[0].total / 16)(
            params
        )
        updates, memory = tx.update(grads, memory, params)
        params = optax.apply_updates(params, updates)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), state.params, params
    )


@pytest.mark.parametrize("name", [*ALIASES, "muon"])
def test_each_optimizer_makes_the_loss_fall(name):
    _, rows = run(dict(name=name, lr=0.02), 20)
    assert rows[-1]["loss"].total < 0.95 * rows[0]["loss"].total


@pytest.mark.parametrize("name", ["adam", "lion", "muon"])
def test_first_moments_in_bfloat16_take_half_the_bytes_and_end_as_low(name):
    half, rows = run(dict(name=name, lr=0.02, mu_dtype="bfloat16"), 20)
    whole, want = run(dict(name=name, lr=0.02), 20)
    kept = [sum(x.nbytes for x in jax.tree.leaves(state.slots)) for state in (whole, half)]
    assert kept[0] - kept[1] == sum(x.nbytes for x in jax.tree.leaves(whole.params)) / 2
    np.testing.assert_allclose(rows[-1]["loss"].total, want[-1]["loss"].total, rtol=0.02)


def test_adafactor_keeps_sums_of_rows_and_columns_of_a_large_kernel():
    params = {"a": {"kernel": jnp.ones((256, 128))}}
    memory = optim.build(dict(name="adafactor", lr=0.1), CLOCK, params).init(params)
    assert sum(x.size for x in jax.tree.leaves(memory)) < 256 + 128 + 10


def test_frozen_parameters_do_not_move_and_take_no_memory():
    state, _ = run(dict(name="adam", lr=0.1, freeze=("a/bias",)))
    assert np.array_equal(state.params["a"]["bias"], np.ones(4))
    assert set(trees.flatten(state.slots["train"]["state"][0].mu)) == {"a/kernel"}


def test_learning_rates_by_path_scale_the_move():
    plain, _ = run(dict(name="sgd", lr=0.01), 1)
    scaled, _ = run(dict(name="sgd", lr=0.01, lr_scale=(("a/bias", 10.0),)), 1)
    moves = [np.asarray(s.params["a"]["bias"]) - 1 for s in (scaled, plain)]
    np.testing.assert_allclose(moves[0], 10 * moves[1], rtol=1e-4)
    assert np.array_equal(scaled.params["a"]["kernel"], plain.params["a"]["kernel"])


def test_l1_and_l2_add_their_gradient_and_only_to_kernels():
    start = problem()[0]["params"]["a"]["kernel"]
    plain, _ = run(dict(name="sgd", lr=0.01), 1)
    penalised, _ = run(dict(name="sgd", lr=0.01, l1=0.3, l2=0.5), 1)
    extra = np.asarray(plain.params["a"]["kernel"]) - np.asarray(penalised.params["a"]["kernel"])
    np.testing.assert_allclose(extra, 0.01 * (0.3 * np.sign(start) + 0.5 * start), atol=1e-6)
    assert np.array_equal(plain.params["a"]["bias"], penalised.params["a"]["bias"])


def test_clipping_bounds_the_global_norm_and_the_log_tells_the_unclipped_one():
    state, rows = run(dict(name="sgd", lr=1.0, clip=0.5), 1)
    start = problem()[0]["params"]
    moved = optax.tree.norm(jax.tree.map(jnp.subtract, state.params, start))
    np.testing.assert_allclose(moved, 0.5, rtol=1e-5)
    assert rows[0]["grad_norm"].total > 0.5


def test_a_plateaus_scale_reaches_every_update():
    variables, batch = problem()
    optimizer = optim.build(dict(name="sgd", lr=0.01), CLOCK, variables["params"])
    step = steps.counted(steps.gradient(loss, optimizer))
    state = steps.create_state(step, variables)
    halved = state.replace(slots=optim.set_scale(state.slots, 0.5))
    whole, _ = step.update(state, batch, jax.random.key(0))
    half, row = step.update(halved, batch, jax.random.key(0))
    np.testing.assert_allclose(row["learning_rate"].total, 0.005, rtol=1e-6)
    moves = [np.asarray(s.params["a"]["bias"]) - 1 for s in (whole, half)]
    np.testing.assert_allclose(moves[0], 2 * moves[1], rtol=1e-4)


@pytest.mark.parametrize(
    "spec, complaint",
    [
        (dict(name="adm", lr=1.0), "Did you mean 'adam'"),
        (dict(name="adam"), "has no lr"),
        (dict(name="adam", lr=1.0, beta=3), "beta"),
        (dict(name="adam", lr=1.0, freeze=("b/.*",)), "config.optimizer.freeze: 'b/.*' matches no"),
        (dict(name="adam", lr=1.0, schedule=dict(name="cosin")), "Did you mean 'cosine'"),
        (dict(name="adam", lr=1.0, schedule=dict(name="cosine", en=1)), "en"),
    ],
)
def test_bad_specs_are_named(spec, complaint):
    with pytest.raises(UserError, match=complaint.replace("(", r"\(").replace("*", r"\*")):
        optim.build(spec, CLOCK, problem()[0]["params"])
