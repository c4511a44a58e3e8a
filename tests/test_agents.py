"""Runs of agents: what they say, how they are played and adapted, and what is wrong in one sentence."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

from bigmodel_jax import environments, play
from bigmodel_jax.acting.playing import play as play_all
from bigmodel_jax.apply import load
from bigmodel_jax.environments import bitcells
from bigmodel_jax.errors import UserError
from bigmodel_jax.models import mlp
from bigmodel_jax.train import train
from bigmodel_jax.verifying import stopped
from bigmodel_jax.verifying.subject import Subject
from configs import bitcells as bitcells_config
from configs import pendulum_ppo

BROKEN = "tests.strains.broken_world"


@pytest.fixture(scope="module")
def run(tmp_path_factory, data_dir):
    """The directory of a small run on few cells, which learns in no time."""
    path = tmp_path_factory.mktemp("agents") / "run"
    config = bitcells_config.get_config("tiny").to_dict()
    config["data"]["environment"] |= {"cells": 4, "limit": 8}
    config["model"]["num_classes"] = 4
    config["optimizer"]["lr"] = 0.03
    config |= {"duration": "80 steps", "repeat": 20, "log_every": "20 steps"}
    config["evals"]["eval"] |= {"every": "40 steps"}
    train(config, str(path), data_dir=data_dir)
    return path


def test_it_learns_to_clear_all_cells_and_says_so(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    returns = [row["train/return"] for row in rows if "train/return" in row]
    assert returns[0] < 3 < 3.5 < returns[-1]
    last = [row for row in rows if "eval/return" in row][-1]
    assert last["eval/return"] == last["eval/return_low"] == last["eval/length"] == 4


def test_play_prints_the_returns_and_films_the_first_episode(run, tmp_path):
    first, second = play.play(str(run), 2)
    assert (first.total, first.length) == (second.total, second.length) == (4.0, 4)
    assert len(first.pictures) == 4 and not second.pictures
    play.film(first.pictures, tmp_path / "more" / "cells.gif")
    with Image.open(tmp_path / "more" / "cells.gif") as film:
        assert film.n_frames == 4 and film.size == (160, 40)


def test_it_adapts_to_a_changed_world_from_what_it_has_learnt(run, tmp_path, data_dir):
    config = bitcells_config.get_config(f"adapt,tiny,shift=1,start={run}").to_dict()
    with load(run) as parent:
        config["model"], config["data"] = parent.config["model"], parent.config["data"]
        old = jax.device_get(parent.variables["params"])
    config["data"]["environment"] |= {"shift": 1}
    config |= {"duration": "2 steps", "log_every": "2 steps", "evals": {}}
    config["optimizer"]["lr"] = 0.0
    state = train(config, str(tmp_path / "adapted"), data_dir=data_dir)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(state.params), old)


def test_who_fits_its_own_favourite_action_never_learns():
    """docs/acting.md: the loss falls to nothing, and the return stays where it was."""
    world, model = bitcells.Environment(), mlp.Model(num_classes=10, hidden=(128, 64))
    params = model.init(jax.random.key(0), jnp.zeros((1, 10)))
    optimizer = optax.adam(1e-3)

    def choose(params):
        return lambda seen, rng: model.apply(params, seen).argmax(-1).astype(jnp.int32)

    def loss(params, seen):
        logits = model.apply(params, seen)
        return optax.softmax_cross_entropy_with_integer_labels(logits, logits.argmax(-1)).mean()

    @jax.jit
    def descend(carry, key):
        params, state = carry
        seen = jax.random.bernoulli(key, 0.5, (64, 10)).astype(jnp.float32)
        value, grads = jax.value_and_grad(loss)(params, seen)
        moves, state = optimizer.update(grads, state)
        return (optax.apply_updates(params, moves), state), value

    def total(params):
        return float(play_all(world, choose(params), 1, jax.random.key(0))[0][0])

    before = total(params)
    keys = jax.random.split(jax.random.key(1), 500)
    (params, _), losses = jax.lax.scan(descend, (params, optimizer.init(params)), keys)
    assert losses[0] > 1.5 and losses[-1] < 0.1
    assert total(params) <= max(before, -10) < 10


def test_a_run_with_minibatches_and_statistics_goes_on_to_the_same_bits(tmp_path, data_dir):
    config = pendulum_ppo.get_config("tiny").to_dict()
    config["task"] |= {"epochs": 2, "minibatches": 2}
    finding = stopped.check(Subject(config, data_dir, tmp_path, steps=4))
    assert finding.holds, finding


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("reward", r"gives a reward of float32\[1\], but float32\[\] is what it declares"),
        ("observation", r"gives an observation of float32\[3\], but float32\[4\]"),
        ("state", "begins with .*, but after a step has .*more"),
    ],
)
def test_an_environment_that_gives_other_shapes_than_it_declares_is_refused(fault, sentence):
    with pytest.raises(UserError, match=sentence):
        environments.checked({"name": BROKEN, "fault": fault})


def test_a_reward_that_is_no_number_stops_the_run(tmp_path, data_dir):
    config = bitcells_config.get_config("tiny").to_dict()
    config["data"]["environment"] = {"name": BROKEN, "fault": "nan"}
    config["model"]["num_classes"] = 4
    with pytest.raises(UserError, match="loss, return, reward is not finite at steps 1 to 2"):
        train({**config, "duration": "2 steps"}, str(tmp_path / "run"), data_dir=data_dir)
