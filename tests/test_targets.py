"""Every kind of target from texts to metrics: it is learnt, and the run says so."""

import functools

import jax
import numpy as np
import pytest

from bigmodel_jax import experiment, preemption, sharding
from bigmodel_jax.config import build, complete
from bigmodel_jax.errors import UserError
from bigmodel_jax.train import train
from tests.laws.harness import assert_same_bits, saved_arrays
from tests.strains import toy_texts

EVALUATORS = {"classify": "classification", "multilabel": "multilabel", "regress": "regression"}


def config(name="classify", data=None, **changes):
    evaluator = dict(name=EVALUATORS[name], split="val", every="end")
    base = dict(
        data=toy_texts.data(**(data or {})),
        model=dict(name="bag", width=16, n=1, buckets=64, pooling="sum"),
        task=dict(name=name),
        optimizer=dict(name="adam", lr=3e-2),
        evals=dict(val=evaluator),
        duration="15 epochs",
        log_every="1 epochs",
    )
    return {**base, **changes}


def evaluated(config, tmp_path, data_dir):
    """(numbers, details) of the evaluator on val after training."""
    mesh = sharding.make_mesh({"data": -1})
    state = train(config, tmp_path / "run", data_dir=data_dir)
    whole = complete(config)
    with sharding.use(mesh, {}):
        plan = experiment.make_plan(whole, data_dir, mesh)
        open_source = functools.partial(experiment.open_source, whole, data_dir, training=False)
        spec = {k: v for k, v in config["evals"]["val"].items() if k != "every"}
        evaluator = build("evals", spec, task=plan.task, open_source=open_source, mesh=mesh)
        return evaluator.run(experiment.for_evaluation(state.variables)), evaluator


@pytest.mark.parametrize(
    "task, target, metric, least",
    [("multilabel", "labels", "map", 0.7), ("regress", "number", "r2", 0.8)],
)
def test_a_target_is_learnt(task, target, metric, least, tmp_path, data_dir):
    data = dict(target=target, max_length=12, longest=6 if task == "multilabel" else 12)
    numbers, evaluator = evaluated(config(task, data), tmp_path, data_dir)
    assert numbers[metric] > least
    details, source = evaluator.details, evaluator.source
    assert details["examples"] == source.examples == 40
    np.testing.assert_array_equal(details["labels"], source.labels)
    shape = (40, 6) if task == "multilabel" else (40,)
    output = details["probabilities" if task == "multilabel" else "values"]
    assert output.shape == shape and output.dtype == np.float32
    lengths = [len(text.split()) for text in source.texts(range(40))]
    assert details["lengths"].tolist() == lengths and details["lengths"].dtype == np.int32


@pytest.mark.parametrize("balance", [True, False])
def test_pairs_balanced_classes_and_transforms_stop_and_resume_bit_for_bit(
    balance, tmp_path, data_dir, monkeypatch
):
    data = dict(pairs=True, balance=balance, transforms=(dict(name="word_dropout"),))
    given = config(data=data, duration="12 steps", evals={}, log_every="4 steps")
    if not balance:
        given["task"]["class_weights"] = "balanced"
    state = train(given, tmp_path / "straight", data_dir=data_dir)
    if not balance:
        assert np.asarray(state.variables["class_weights"]).tolist() != [1, 1]
    monkeypatch.setattr(preemption.Preemption, "requested", lambda self, step: step == 6)
    train(given, tmp_path / "stopped", data_dir=data_dir)
    monkeypatch.undo()
    train(given, tmp_path / "stopped", data_dir=data_dir)
    assert_same_bits(
        saved_arrays(tmp_path / "stopped", 12), saved_arrays(tmp_path / "straight", 12)
    )


def test_a_task_or_an_evaluator_for_another_target_is_named(tmp_path, data_dir):
    with pytest.raises(UserError, match=r"target is 'labels'.*dict\(name='multilabel'\)"):
        train(config(data=dict(target="labels")), tmp_path / "a", data_dir=data_dir)
    wrong = config("regress", dict(target="number"))
    wrong["evals"]["val"]["name"] = "classification"
    with pytest.raises(UserError, match=r"there is dict\(name='regression'\)"):
        train(wrong, tmp_path / "b", data_dir=data_dir)


def test_balancing_twice_is_refused(tmp_path, data_dir):
    twice = config(data=dict(balance=True), task=dict(name="classify", class_weights="balanced"))
    with pytest.raises(UserError, match="leave out one of the two"):
        train(twice, tmp_path / "run", data_dir=data_dir)


def test_eight_devices_have_nothing_to_do_with_the_order_of_the_outputs(data_dir):
    """What an evaluator hands on is in the data's order, whatever the batches were."""
    spec = toy_texts.data(target="number", batch_size=8)
    with sharding.use(mesh := sharding.make_mesh({"data": -1}), {}):

        class Echo:
            target, evaluator = "number", "regression"

            def predict(self, variables, batch):
                return {"values": batch["label"] + variables}

            def loss(self, variables, batch, rng, *, train):
                from bigmodel_jax.metrics import mean

                return mean(batch["label"], batch["valid"]), None

        def open_source(split, batch_size):
            whole = {**spec, "batch_size": batch_size}
            return build("data", whole, split=split, training=False, data_dir=data_dir)

        evaluator = build(
            "evals",
            dict(name="regression", split="test", batch_size=24),
            task=Echo(),
            open_source=open_source,
            mesh=mesh,
        )
        numbers = evaluator.run(jax.numpy.float32(1))
    assert numbers["mae"] == pytest.approx(1)
    np.testing.assert_allclose(evaluator.details["values"], evaluator.details["labels"] + 1)
