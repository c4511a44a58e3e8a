"""Laws 4 and 6: what must not matter does not: devices, micro-batches, dispatches, residence."""

import json

import jax
import numpy as np
import pytest

from bigmodel_jax import experiment
from bigmodel_jax.config import complete
from bigmodel_jax.data.resolve import resolve_data
from tests.laws.harness import (
    ALL,
    CONFIGS,
    LANGUAGE,
    PARTLY,
    STREAMED,
    assert_same_bits,
    costly,
    loss_of,
    relative_distance,
    run_steps,
    saved_arrays,
    train,
)


def without_dropout(config):
    model = {k: v for k, v in config["model"].items() if "dropout" not in k}
    return {**config, "model": {**model}}


@pytest.mark.parametrize(
    "mesh",
    [
        {"fsdp": 2, "tensor": 4},
        pytest.param({"data": 2, "fsdp": 4}, marks=pytest.mark.slow),
        pytest.param({"data": 2, "sequence": 4}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", costly(ALL))
def test_a_mesh_agrees_with_one_device(name, mesh, data_dir):
    # Plain descent: Adam divides by gradients near 0, which would blow rounding up.
    config = ALL[name]()
    if "name" in config["optimizer"]:
        train = config["optimizer"].get("train", (".*",))
        config["optimizer"] = dict(name="sgd", lr=1.0, train=train)
    else:
        players = config["optimizer"].items()
        plain = {k: dict(name="sgd", lr=1.0, train=player["train"]) for k, player in players}
        config["optimizer"] = plain
    one, one_rows = run_steps(config, data_dir, 1)
    many, many_rows = run_steps(config, data_dir, 1, mesh)
    assert loss_of(many_rows[0]) == pytest.approx(loss_of(one_rows[0]), rel=1e-5)
    fresh, _ = run_steps(config, data_dir, 0)
    gradients = [  # with lr 1 the move is the gradient
        jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), s.params, fresh.params)
        for s in (many, one)
    ]
    assert relative_distance(*gradients) < 1e-5
    rest = [{k: v for k, v in s.variables.items() if k != "params"} for s in (many, one)]
    if rest[1]:
        assert relative_distance(*rest) < 1e-5


@pytest.mark.parametrize(
    "mesh",
    [
        {"fsdp": 2, "tensor": 2, "stage": 2},
        pytest.param({"data": 2, "stage": 4}, marks=pytest.mark.slow),
        pytest.param({"data": 2, "sequence": 2, "stage": 2}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "name", costly(("imdb-mlm", "gpt2-pretrain", "cifar10-vit", "cifar10-mae", "summarize"))
)
def test_stages_agree_with_one_device(name, mesh, data_dir):
    # With all that goes with them: dropout, drawn for the same micro-batches; remat; accumulation.
    config = CONFIGS[name]()
    config["model"] |= {"scan": True, "remat": "full", "microbatches": 4}
    config["model"] |= {"num_layers": mesh["stage"], "dropout": 0.1}
    if name == "cifar10-mae":
        config["model"] |= {"decoder_layers": mesh["stage"]}
    config["data"]["batch_size"] = 16
    config["optimizer"] = dict(name="sgd", lr=1.0, accumulate=2)
    fresh, _ = run_steps(config, data_dir, 0)
    one, one_rows = run_steps(config, data_dir, 1)
    many, many_rows = run_steps(config, data_dir, 1, mesh)
    assert loss_of(many_rows[0]) == pytest.approx(loss_of(one_rows[0]), rel=1e-5)
    gradients = [  # with lr 1 the move is the gradient
        jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), s.params, fresh.params)
        for s in (many, one)
    ]
    assert relative_distance(*gradients) < 1e-5


@pytest.mark.parametrize(
    "mesh", [pytest.param(None, marks=pytest.mark.slow), {"data": 2, "fsdp": 4}]
)
# What is masked, and a negative, is drawn for each micro-batch, as dropout is; and a norm's batch is the
# micro-batch.
@pytest.mark.parametrize(
    "name",
    costly(
        n
        for n in CONFIGS
        if n not in ("imdb-mlm", "cifar10-mae", "mnist-cnn", "folder", "movielens-ncf")
    ),
)
def test_accumulated_equals_whole_batch(name, mesh, data_dir):
    config = without_dropout(CONFIGS[name]())
    config["optimizer"] = dict(name="sgd", lr=1.0)
    config["data"]["batch_size"] = 32
    whole, whole_rows = run_steps(config, data_dir, 1, mesh)
    config["optimizer"] = dict(name="sgd", lr=1.0, accumulate=4)
    parts, parts_rows = run_steps(config, data_dir, 1, mesh)
    assert loss_of(parts_rows[0]) == pytest.approx(loss_of(whole_rows[0]), rel=1e-6)
    fresh, _ = run_steps(config, data_dir, 0, mesh)
    moves = [
        jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), s.params, fresh.params)
        for s in (parts, whole)
    ]
    assert relative_distance(*moves) < 1e-5


def test_accumulation_over_batch_norm_on_a_mesh_equals_it_on_one_device(data_dir):
    config = ALL["batch_norm"](optimizer=dict(name="sgd", lr=0.1, accumulate=4))
    one, one_rows = run_steps(config, data_dir, 3)
    many, many_rows = run_steps(config, data_dir, 3, {"data": 2, "fsdp": 4})
    assert relative_distance(many.variables, one.variables) < 1e-5
    # Each of the four micro-batches moved the running mean: 0.9^12 of the start is left.
    mean = np.asarray(one.variables["batch_stats"]["norm"]["mean"])
    assert np.abs(mean).max() > 0 and loss_of(many_rows[2]) == pytest.approx(
        loss_of(one_rows[2]), rel=1e-5
    )


@pytest.mark.parametrize("name", ["batch_norm", "imdb-lstm"])
def test_k_steps_a_dispatch_equal_k_single_steps(name, tmp_path, data_dir):
    config = {**ALL[name](), "duration": "12 steps", "log_every": "4 steps"}
    if name in CONFIGS:  # k batches that follow one another share a bucket; here there is but one
        config["data"] = {**config["data"], "buckets": (config["data"]["max_length"],)}
        config["evals"], config["early_stopping"] = {}, {}
    train(config, tmp_path / "single", data_dir=data_dir)
    train({**config, "repeat": 2}, tmp_path / "pairs", data_dir=data_dir)
    single, pairs = saved_arrays(tmp_path / "single", 12), saved_arrays(tmp_path / "pairs", 12)
    for path, value in single.items():
        np.testing.assert_allclose(pairs[path], value, rtol=2e-4, atol=1e-6, err_msg=path)


@pytest.mark.parametrize("name", costly((n for n in CONFIGS if n not in STREAMED), "mnist-cnn"))
def test_resident_equals_streaming(name, tmp_path, data_dir):
    config = {**CONFIGS[name](), "duration": "6 steps"}
    train(config, tmp_path / "streaming", data_dir=data_dir)
    config["data"] = {**config["data"], "resident": True}
    train(config, tmp_path / "resident", data_dir=data_dir)
    streaming = saved_arrays(tmp_path / "streaming", 6)
    assert_same_bits(saved_arrays(tmp_path / "resident", 6), streaming)


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("name", CONFIGS)
def test_shares_of_processes_make_up_the_same_global_batch(name, processes, data_dir):
    config = complete(CONFIGS[name]())
    config["data"], _ = resolve_data(config["data"], data_dir=data_dir)
    build = experiment.build

    def source(process):
        spec = {**config["data"]}
        return build("data", spec, seed=0, group=1, data_dir=data_dir, process=process)

    alone, shares = source((0, 1)), [source((i, processes)) for i in range(processes)]
    for step in (0, 5, alone.steps_per_epoch, 3 * alone.steps_per_epoch - 1):
        whole = alone.batch(step)
        for key, value in whole.items():
            parts = np.concatenate([share.batch(step)[key] for share in shares])
            np.testing.assert_array_equal(parts, value)


@pytest.mark.parametrize(
    "name",
    costly(
        (n for n in CONFIGS if n not in (*LANGUAGE, *PARTLY, "cifar10-mae", "mnist-anomaly")),
        "imdb-bag",
        "mnist-cnn",
    ),
)
def test_evaluation_counts_each_example_once_at_any_batch_size(name, tmp_path, data_dir):
    results = []
    for batch_size in (8, 56, 256):
        config = {**CONFIGS[name](), "duration": "2 steps", "early_stopping": {}}
        config["evals"] = dict(
            test=dict(name="classification", split="test", every="end", batch_size=batch_size)
        )
        train(config, tmp_path / str(batch_size), data_dir=data_dir)
        results.append((tmp_path / str(batch_size) / "results" / "test.json").read_text())
    first, *others = [json.loads(text) for text in results]
    assert first["examples"] == 96 and np.sum(first["confusion_matrix"]) == 96
    for other in others:
        assert other["confusion_matrix"] == first["confusion_matrix"]
        assert other["metrics"] == pytest.approx(first["metrics"], rel=1e-6)


@pytest.mark.parametrize("name", costly(LANGUAGE, "imdb-mlm"))
def test_evaluation_counts_each_token_once_at_any_batch_size(name, tmp_path, data_dir):
    results = []
    for batch_size in (8, 56, 256):
        config = {**CONFIGS[name](), "duration": "2 steps"}
        halves = {"train": "train[:50%]", "val": "train[50%:]"}
        config["data"] = {**config["data"], "splits": halves}
        config["evals"] = {"val": {"name": "language", "split": "val", "batch_size": batch_size}}
        train(config, tmp_path / str(batch_size), data_dir=data_dir)
        results.append((tmp_path / str(batch_size) / "results" / "val.json").read_text())
    first, *others = [json.loads(text) for text in results]
    for other in others:
        assert other["tokens"] == first["tokens"] > 1000
        assert other["metrics"] == pytest.approx(first["metrics"], rel=1e-6)
    assert ("bits_per_byte" in first["metrics"]) == (name != "imdb-mlm")  # where all tokens count
