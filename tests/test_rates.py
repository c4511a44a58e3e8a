"""Factors of the learning rate: by layer against a table made by hand, by step exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import optim, rates, steps, trees
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError
from bigmodel_jax.metrics import mean
from bigmodel_jax.train import train
from tests.laws.harness import assert_same_bits, saved_arrays
from tests.strains import batch_norm

CLOCK = Clock(steps_per_epoch=10, batch_size=4, total=20)
LAYERS, WIDTH = 3, 4


def unrolled(seed=0):
    """A stack of three layers, with what stands before and after it."""
    keys = iter(jax.random.split(jax.random.key(seed), 20))

    def normal(*shape):
        return jax.random.normal(next(keys), shape)

    blocks = {
        f"block_{i}": {"mlp": {"kernel": normal(WIDTH, WIDTH)}, "bias": normal(WIDTH)}
        for i in range(LAYERS)
    }
    return {
        "embed": {"embedding": normal(5, WIDTH)},
        "positions": {"embedding": normal(6, WIDTH)},
        "embed_norm": {"scale": normal(WIDTH)},
        "encoder": {**blocks, "norm": {"scale": normal(WIDTH)}},
        "head": {"kernel": normal(WIDTH, 2)},
    }


def scanned(params):
    blocks = [params["encoder"][f"block_{i}"] for i in range(LAYERS)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *blocks)
    return {**params, "encoder": {"blocks": stacked, "norm": params["encoder"]["norm"]}}


def loss(variables, batch, rng, *, train):
    leaves = jax.tree.leaves(variables["params"])
    return mean(sum((jnp.square(x - 1) + jnp.sin(x)).sum() for x in leaves)[None]), steps.Aux()


def run(params, count, **options):
    """The states of each step, and their metrics."""
    spec = dict(name="adamw", lr=0.01, **options)
    step = steps.counted(steps.gradient(loss, optim.build(spec, CLOCK, params)))
    states, rows = [steps.create_state(step, {"params": params})], []
    for _ in range(count):
        state, row = jax.jit(step.update)(states[-1], {}, jax.random.key(0))
        states.append(state)
        rows.append(row)
    return states, rows


def test_the_factors_of_layers_are_those_of_a_table_made_by_hand():
    found = rates.by_layer(0.5, unrolled())
    assert found == {
        "embed/embedding": 0.0625,
        "positions/embedding": 0.0625,
        "embed_norm/scale": 0.0625,
        "encoder/block_0/mlp/kernel": 0.125,
        "encoder/block_0/bias": 0.125,
        "encoder/block_1/mlp/kernel": 0.25,
        "encoder/block_1/bias": 0.25,
        "encoder/block_2/mlp/kernel": 0.5,
        "encoder/block_2/bias": 0.5,
        "encoder/norm/scale": 1.0,
        "head/kernel": 1.0,
    }


def test_each_parameter_moves_by_its_layers_factor_times_its_own():
    params = unrolled()
    plain, _ = run(params, 1, weight_decay=0.1)
    options = dict(layer_decay=0.5, lr_scale=(("embed/.*", 3.0),), weight_decay=0.1)
    slower, rows = run(params, 1, **options)
    factors = {**rates.by_layer(0.5, params), "embed/embedding": 3 * 0.0625}
    start, whole = trees.flatten(params), trees.flatten(plain[1].params)
    for path, x in trees.flatten(slower[1].params).items():
        moved, usual = np.asarray(x) - start[path], np.asarray(whole[path]) - start[path]
        np.testing.assert_allclose(moved, factors[path] * usual, atol=2e-7, err_msg=path)
    assert float(rows[0]["learning_rate"].total) == pytest.approx(0.01)  # the head's


def test_scanned_layers_move_as_unrolled_ones_do():
    params, options = unrolled(), dict(layer_decay=0.7, weight_decay=0.1)
    one, _ = run(params, 3, **options)
    other, _ = run(scanned(params), 3, **options)
    expected, found = trees.flatten(scanned(one[-1].params)), trees.flatten(other[-1].params)
    assert expected.keys() == found.keys()
    for path, x in expected.items():
        np.testing.assert_allclose(found[path], x, rtol=1e-6, atol=1e-7, err_msg=path)


def test_what_is_unfrozen_later_rests_until_exactly_that_step_weight_decay_included():
    params, options = unrolled(), dict(unfreeze=(("encoder/block_1/.*", "15%"),), weight_decay=0.1)
    states, _ = run(params, 5, **options)
    kernels = [np.asarray(s.params["encoder"]["block_1"]["mlp"]["kernel"]) for s in states]
    for kernel in kernels[1:4]:  # 15% of 20 steps are three
        np.testing.assert_array_equal(kernel, kernels[0])
    assert (kernels[4] != kernels[0]).all()
    heads = [np.asarray(s.params["head"]["kernel"]) for s in states]
    assert (heads[1] != heads[0]).all()


def test_the_first_move_after_unfreezing_is_no_larger_than_any_other_of_adam():
    states, _ = run(unrolled(), 5, unfreeze=(("head/.*", "3 steps"),), weight_decay=0.0)
    first = states[4].params["head"]["kernel"] - states[3].params["head"]["kernel"]
    assert float(jnp.abs(first).max()) <= 0.0101


def test_unfrozen_and_resumed_is_never_stopped(tmp_path, monkeypatch):
    from bigmodel_jax import preemption

    optimizer = dict(name="adam", lr=0.1, unfreeze=(("hidden/.*", "8 steps"),))
    config = batch_norm.config(optimizer=optimizer)
    train(config, tmp_path / "straight")
    monkeypatch.setattr(preemption.Preemption, "requested", lambda self, step: step == 6)
    train(config, tmp_path / "stopped")
    monkeypatch.undo()
    train(config, tmp_path / "stopped")
    straight, stopped = (saved_arrays(tmp_path / x, 12) for x in ("straight", "stopped"))
    assert_same_bits(straight, stopped)


@pytest.mark.parametrize(
    "options, complaint",
    [
        (dict(layer_decay=1.5), "layer_decay is 1.5"),
        (dict(layer_decay=0), "layer_decay is 0"),
        (dict(unfreeze=(("encoder/blok_1/.*", "10%"),)), "unfreeze: 'encoder/blok_1.*no parameter"),
        (dict(unfreeze=(("head/.*", "soon"),)), "config.optimizer.unfreeze: 'soon' is not a dur"),
        (dict(unfreeze=("head/.*",)), "pairs"),
        (dict(lr_scale=("head/.*",)), "pairs"),
    ],
)
def test_bad_rates_are_named(options, complaint):
    with pytest.raises(UserError, match=complaint):
        run(unrolled(), 0, **options)


def test_a_model_without_layers_has_no_decay_by_layer():
    with pytest.raises(UserError, match="no layers block_0"):
        rates.by_layer(0.9, {"head": {"kernel": jnp.ones((2, 2))}})
