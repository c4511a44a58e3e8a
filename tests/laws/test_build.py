"""Laws 1, 2 and 8: a config builds what its golden file lists, learns, and compiles by plan."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from bigmodel_jax import experiment, sharding, trees
from bigmodel_jax.config import complete
from bigmodel_jax.data.resolve import resolve_data
from tests.laws.harness import ALL, CONFIGS, WITH_SOURCE, costly, loss_of, run_steps, train

GOLDENS = Path(__file__).parent.parent / "goldens"


@pytest.mark.parametrize("name", costly(CONFIGS))
def test_parameters_and_first_losses_are_those_of_the_golden_file(name, data_dir, request):
    state, rows = run_steps(CONFIGS[name](), data_dir, 3)
    listing = {p: f"{x.dtype}{list(x.shape)}" for p, x in trees.flatten(state.params).items()}
    count = sum(x.size for x in jax.tree.leaves(state.params))
    found = {"parameters": listing, "count": count, "losses": [loss_of(row) for row in rows]}
    path = GOLDENS / f"{name}.json"
    if request.config.getoption("--update-goldens"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=2) + "\n")
    golden = json.loads(path.read_text())
    assert found["parameters"] == golden["parameters"] and found["count"] == golden["count"]
    # Bits differ between machines and core counts.
    np.testing.assert_allclose(found["losses"], golden["losses"], rtol=1e-4)


@pytest.mark.parametrize("name", costly(n for n in WITH_SOURCE if n not in ("gan", "mnist-gan")))
def test_the_loss_falls_on_one_repeated_batch(name, data_dir):
    config = WITH_SOURCE[name]()
    config["duration"] = "100 steps"
    _, first = run_steps(config, data_dir, 1)
    resolved = complete(config)
    resolved["data"], _ = resolve_data(resolved["data"], data_dir=data_dir)
    source = experiment.open_source(resolved, data_dir, split="train")
    _, rows = run_steps(config, data_dir, 30, batch=source.batch(0))
    assert loss_of(rows[-1]) < 0.9 * loss_of(rows[0])
    assert loss_of(rows[0]) == pytest.approx(loss_of(first[0]), rel=1e-4)


@pytest.mark.parametrize("name", ["rollout", "actor"])
def test_a_policy_gradient_learns_its_environment(name, data_dir):
    _, rows = run_steps(ALL[name](), data_dir, 60)
    reward = [float(row["reward"].total / row["reward"].weight) for row in rows]
    assert np.mean(reward[:5]) < 0.5 < 0.8 < np.mean(reward[-5:])


def test_the_gan_moves_its_generator_every_second_step_and_averages_it(data_dir):
    states = [run_steps(ALL["gan"](), data_dir, n)[0] for n in (1, 2, 3)]
    generator = [jax.device_get(s.params["generator"]["out"]["kernel"]) for s in states]
    judge = [jax.device_get(s.params["discriminator"]["out"]["kernel"]) for s in states]
    assert np.array_equal(generator[0], generator[1]) and not np.array_equal(*generator[1:])
    assert not np.array_equal(judge[0], judge[1])
    rows = run_steps(ALL["gan"](), data_dir, 2)[1]
    assert [float(r["generator/loss"].weight) for r in rows] == [16.0, 0.0]
    assert set(states[2].slots["generator"]["state"][0].mu) == {"generator"}
    average = jax.device_get(states[2].variables["ema"]["generator"]["out"]["kernel"])
    assert np.abs(average - generator[2]).max() > 0


def test_the_second_pass_over_the_shapes_compiles_nothing(tmp_path, data_dir, caplog):
    compiled = []
    # jit logs a line for each program it compiles.
    with jax.log_compiles(), caplog.at_level("WARNING", logger="jax"):
        config = {**CONFIGS["imdb-lstm"](), "duration": "3 epochs", "evals": {}}
        train({**config, "early_stopping": {}}, tmp_path / "run", data_dir=data_dir)
        compiled = [r.message for r in caplog.records if "Compiling jit(update)" in r.message]
    assert 1 <= len(compiled) <= len(config["data"]["buckets"]) + 1


def test_sharded_parameters_lie_where_the_rules_say(data_dir):
    state, _ = run_steps(CONFIGS["imdb-lstm"](), data_dir, 1, {"fsdp": 4, "tensor": 2})
    table = state.params["embed"]["embedding"]
    assert table.sharding.spec == sharding.P(("tensor",), ("fsdp",))
    moments = state.slots["train"]["state"][1].mu["embed"]["embedding"]
    assert moments.sharding == table.sharding
