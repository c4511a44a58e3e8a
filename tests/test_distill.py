"""Distillation: the student learns what its teacher says; a mirrored evaluation; averaged statistics."""

import jax
import numpy as np
import pytest

from bigmodel_jax import experiment, sharding, steps
from bigmodel_jax.config import complete
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.errors import UserError
from bigmodel_jax.evaluate import evaluate
from bigmodel_jax.inheritance import inherit
from bigmodel_jax.train import train
from configs import mnist
from tests.laws.harness import make_mesh, saved_arrays

MODEL = dict(name="cnn", stages=(dict(features=8, pool=2),), hidden=(16,))


def config(**changes):
    given = mnist.get_config("cnn,tiny").to_dict()
    given["data"]["reader"] = dict(given["data"]["reader"], train_size=128, test_size=32)
    given["model"], given["duration"] = MODEL, "1 epochs"
    return {**given, "ema": 0.5, **changes}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, data_dir):
    workdir = tmp_path_factory.mktemp("runs") / "teacher"
    train(config(), str(workdir), data_dir=data_dir)
    return workdir


def distilled(teacher, **options):
    task = dict(name="distill", task=dict(name="classify"), teacher=str(teacher), **options)
    return inherit(complete(config(task=task)))


def test_a_student_that_is_its_teacher_has_nothing_to_learn_from_it(teacher, data_dir):
    given = distilled(teacher, weight=1.0, temperature=3.0)
    mesh = make_mesh()
    given["data"], _ = resolve_data(given["data"], data_dir=data_dir)
    with sharding.use(mesh, given["rules"]):
        plan = experiment.make_plan(given, data_dir, mesh)
        state = experiment.fresh_state(plan)
    evaluated = experiment.for_evaluation(state.variables)
    batch = plan.source.assemble(plan.source.store(), plan.source.batch(0))
    apart = plan.task.loss(state.variables, batch, jax.random.key(0), train=True)[0]
    assert float(apart.total) > 1e-3
    taught = {**evaluated, "params": state.variables["teacher"]["params"]}
    # Without dropout or batch statistics of its own the student answers as its teacher does.
    same = plan.task._divergence(*[plan.task.task.logits(taught, batch)] * 2)
    np.testing.assert_allclose(same, 0, atol=1e-6)


def test_the_loss_is_the_softened_divergence(teacher):
    task = distilled(teacher, weight=1.0, temperature=3.0)["task"]
    built = experiment.make_task({"task": task, "model": {**MODEL, "num_classes": 5}})
    rng = np.random.default_rng(0)
    student, said = rng.normal(size=(2, 4, 5))

    def softened(logits):
        e = np.exp(logits / 3 - (logits / 3).max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    p, q = softened(said), softened(student)
    expected = 9 * (p * np.log(p / q)).sum(-1)
    np.testing.assert_allclose(built._divergence(student, said), expected, rtol=1e-4)


@pytest.mark.slow
def test_a_run_with_a_teacher_keeps_it_as_it_was_and_needs_it_no_more(teacher, tmp_path, data_dir):
    workdir = tmp_path / "student"
    state = train(distilled(teacher), str(workdir), data_dir=data_dir)
    last = max(int(p.name) for p in (teacher / "checkpoints").iterdir() if p.name.isdigit())
    averages = {
        path.replace("['ema']", "['params']"): x
        for path, x in saved_arrays(teacher, last).items()
        if "['ema']" in path
    }
    kept = jax.tree_util.tree_leaves_with_path({"params": state.variables["teacher"]["params"]})
    assert len(kept) == len(averages)
    for path, x in kept:
        np.testing.assert_array_equal(averages["['variables']" + jax.tree_util.keystr(path)], x)
    assert 0 <= evaluate(str(workdir), "test", data_dir)["metrics"]["accuracy"] <= 1


def test_a_teacher_of_other_classes_is_refused(teacher):
    given = distilled(teacher)
    with pytest.raises(UserError, match="tells 5 classes apart, and this model 3"):
        experiment.make_task({"task": given["task"], "model": {**MODEL, "num_classes": 3}})


def test_statistics_of_batches_are_averaged_with_the_parameters(teacher):
    last = max(int(p.name) for p in (teacher / "checkpoints").iterdir() if p.name.isdigit())
    arrays = saved_arrays(teacher, last)
    stats = {k: v for k, v in arrays.items() if "['ema_stats']" in k}
    assert stats and all(
        (v != arrays[k.replace("ema_stats", "batch_stats")]).any() for k, v in stats.items()
    )
    chosen = experiment.for_evaluation({"params": 0, "ema": 1, "batch_stats": 2, "ema_stats": 3})
    assert chosen == {"params": 1, "batch_stats": 3}
    assert steps.AVERAGED == {"ema": "params", "ema_stats": "batch_stats"}
