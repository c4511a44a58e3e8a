"""Runs trained as one program against the same runs alone; of an ablation: test_ablation.py."""

import io
import json
import re

import jax
import pytest

from bigmodel_jax import experiment, sharding, steps, summary
from bigmodel_jax.ablations import stacked
from bigmodel_jax.config import complete
from bigmodel_jax.errors import UserError
from bigmodel_jax.train import train
from configs import mnist
from tests.laws.harness import relative_distance, saved_arrays

STEPS = 8


def config(seed, lr=0.1, weight_decay=0.01, label_smoothing=0.1):
    """With all that draws from the run's randomness: order, init, augmentation, dropout."""
    given = mnist.get_config("mlp,tiny").to_dict()
    given["data"]["batch_transforms"] = (dict(name="pad_crop", pad=2, mode="zeros"),)
    given["model"]["dropout"] = 0.2
    given["task"]["label_smoothing"] = label_smoothing
    given["optimizer"] = dict(name="sgd", lr=lr, momentum=0.9, weight_decay=weight_decay)
    given["evals"] = {
        "val": dict(name="classification", split="test[:50%]", every="4 steps"),
        "test": dict(name="classification", split="test", every="end"),
    }
    changes = dict(seed=seed, ema=0.9, duration=f"{STEPS} steps", log_every="4 steps")
    return complete({**given, **changes})


MEMBERS = (config(0), config(1, lr=0.02, weight_decay=0.3, label_smoothing=0.4))


def alone(given, data_dir):
    """(variables, slots, mean loss of the last four steps) of a run, a step a dispatch, on the device."""
    given = {**given, "repeat": 1, "data": {**given["data"], "resident": False}}
    mesh = sharding.make_mesh({"data": 1}, jax.devices()[:1])
    with sharding.use(mesh, given["rules"]):
        plan = experiment.make_plan(given, data_dir, mesh)
        state, losses = experiment.fresh_state(plan), []
        update = jax.jit(steps.counted(plan.step).update)
        for i in range(STEPS):
            state, row = update(state, plan.source.batch(i), jax.random.key(given["seed"]))
            losses.append(row["loss"])
    total, weight = (sum(float(getattr(x, k)) for x in losses[4:]) for k in ("total", "weight"))
    return state.variables, state.slots, total / weight


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Without a page for each run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "_report", lambda run: None)
        yield


@pytest.fixture(scope="module")
def lone(data_dir):
    return [alone(given, data_dir) for given in MEMBERS]


def together(members, folder, data_dir):
    """What `stacked.train` leaves, and what the runs have said."""
    paths, logs = [folder / str(i) for i in range(len(members))], [io.StringIO() for _ in members]
    parts = zip(members, paths, logs, strict=True)
    errors = stacked.train([stacked.Member(*part) for part in parts], data_dir)
    assert not errors
    return paths, [log.getvalue() for log in logs]


def test_side_by_side_each_run_ends_where_it_ends_alone(lone, tmp_path, data_dir, monkeypatch):
    monkeypatch.setattr(stacked, "abreast", lambda: True)
    paths, said = together(MEMBERS, tmp_path, data_dir)
    for i, (variables, slots, loss) in enumerate(lone):
        tree = {"training": {"slots": slots, "step": STEPS}, "variables": variables}
        saved, leaves = saved_arrays(paths[i], STEPS), jax.tree_util.tree_leaves_with_path(tree)
        assert len(saved) == len(leaves)
        for keys, value in leaves:
            path = re.sub(r"\.(\w+)", r"['\1']", jax.tree_util.keystr(keys))
            assert relative_distance(saved[path], value) < 1e-5, path
        rows = [json.loads(line) for line in (paths[i] / "metrics.jsonl").read_text().splitlines()]
        named = {
            (row["step"], k.split("/", 1)[1]): x for row in rows for k, x in row.items() if "/" in k
        }
        assert named[STEPS, "train/loss"] == pytest.approx(loss, rel=1e-5)
        assert named[STEPS, "train/learning_rate"] == pytest.approx((0.1, 0.02)[i])
        assert (4, "val/accuracy") in named and (8, "test/loss") in named
        about = json.loads((paths[i] / "about.json").read_text())
        assert about["together"] == 2 and "one of 2 runs" in said[i] and "step 8/8" in said[i]
    assert relative_distance(lone[0][0]["params"], lone[1][0]["params"]) > 0.1


def test_one_after_the_other_and_stopped_they_go_on_alone_as_ordinary_runs(
    lone, tmp_path, data_dir, monkeypatch
):
    monkeypatch.setattr(
        stacked.Preemption, "requested", lambda self, count: count == 2
    )  # after four steps
    paths, said = together(MEMBERS, tmp_path, data_dir)
    assert "Asked to stop: saved step 4" in said[1] and "Results with" not in said[1]
    monkeypatch.undo()
    state = train(MEMBERS[1], str(paths[1]), data_dir=data_dir)
    assert relative_distance(state.variables["params"], lone[1][0]["params"]) < 1e-5


@pytest.mark.parametrize(
    "change, why",
    [
        ({"early_stopping": {"metric": "val/loss", "patience": 1}}, "patience ends each"),
        ({"reduce_on_plateau": {"metric": "val/loss", "patience": 1}}, "reduce_on_plateau"),
        ({"actor": {"name": "cartpole"}}, "acts between"),
        ({"mesh": {"data": -1, "tensor": 2}}, "splits each over several devices"),
    ],
)
def test_runs_that_cannot_go_in_step_are_refused(change, why):
    with pytest.raises(UserError, match=f"--stacked .*{why}.*: run without it"):
        stacked.check({**MEMBERS[0], **change})


def test_one_program_is_of_runs_that_differ_in_numbers_alone():
    others = [config(0, weight_decay=0.0), {**MEMBERS[0], "ema": 0.8}]
    others += [{**MEMBERS[0], "model": {**MEMBERS[0]["model"], "dropout": 0.3}}]
    assert len({stacked.program(member) for member in (*MEMBERS, *others)}) == 4
