"""Environments of gymnasium in worker processes: what they give is passed on, what is wrong is said."""

import json

import numpy as np
import pytest

from bigmodel_jax.data.actors import gym, gym_worlds
from bigmodel_jax.errors import UserError
from bigmodel_jax.train import train
from configs import cartpole_ppo

gymnasium = pytest.importorskip("gymnasium")
FAULTS = "tests.strains.gym_faults"


@pytest.fixture(scope="module")
def worlds():
    return gym_worlds.Worlds("CartPole-v1", 3, 2)


def test_moves_are_those_of_the_environments_one_by_one(worlds):
    alone = [gymnasium.make("CartPole-v1") for _ in range(3)]
    seen = worlds.reset([5, 6, 7])
    now = [world.reset(seed=seed)[0] for world, seed in zip(alone, (5, 6, 7), strict=True)]
    np.testing.assert_array_equal(seen, now)
    ended = 0
    for action in np.random.default_rng(0).integers(0, 2, (60, 3)):
        moves = worlds.step(action)
        for i, world in enumerate(alone):
            left, reward, terminated, truncated, _ = world.step(action[i])
            np.testing.assert_array_equal(moves.left[i], left)
            found = moves.reward[i], moves.terminated[i], moves.truncated[i]
            assert found == (reward, terminated, truncated)
            now = world.reset()[0] if terminated or truncated else left
            np.testing.assert_array_equal(moves.observation[i], now)
            ended += terminated
    assert ended > 3


def test_an_episode_is_counted_once_and_seeds_give_the_same_again(worlds):
    def choose(seen):  # against the tilt, but the first always to the left
        return np.where(np.arange(3) == 0, 0, (seen[:, 2] > 0).astype(np.int64))

    total, length = worlds.play(choose, [0, 1, 2])
    assert total.tolist() == length.tolist() and length[0] < 12 < min(length[1:])
    assert worlds.play(choose, [0, 1, 2])[1].tolist() == length.tolist()


def test_an_actor_tells_what_a_rollout_in_jax_tells():
    actor = gym.Actor(environment="Pendulum-v1", number=2, length=3, workers=1)
    assert actor.info == {"action_size": 1} and actor.batch_size == 6
    torques = np.array([[9.0], [-1.0]], np.float32)  # the first beyond the bounds
    batch = actor.collect(lambda variables, seen, key: torques, {}, 0)
    assert {k: v.shape for k, v in batch.items()} == {
        "observation": (2, 3, 3), "next_observation": (2, 3, 3), "action": (2, 3, 1),
        "reward": (2, 3), "terminated": (2, 3), "truncated": (2, 3), "return": (2, 3), "length": (2, 3),
    }  # fmt: skip
    np.testing.assert_array_equal(batch["observation"][:, 1:], batch["next_observation"][:, :-1])
    np.testing.assert_allclose(batch["return"], np.cumsum(batch["reward"], 1), rtol=1e-6)
    assert batch["length"].tolist() == [[1, 2, 3]] * 2
    assert np.all(batch["action"][0] == 9)  # what the policy drew; the environment got 2


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("nan", "gave the reward nan in environment 0"),
        ("rewards", r"gave a reward of shape \(2,\), but it is one number"),
        ("shape", r"gave an observation of shape \(3,\), but declares \(2,\)"),
        ("infinite", r"gave the observation \[inf inf\] in environment 0"),
        ("raises", "failed in a worker: ValueError: the motor is broken"),
        ("dies", r"worker process of .* environments 0 to 0 died \(exit code 3\)"),
    ],
)
def test_what_an_environment_does_wrong_is_one_sentence(fault, sentence):
    worlds = gym_worlds.Worlds(f"{FAULTS}:{fault.capitalize()}-v0", 1, 1)
    worlds.reset([0])
    for _ in range(19):
        worlds.step(np.zeros(1, np.int64))
    with pytest.raises(UserError, match=sentence) as caught:
        worlds.step(np.zeros(1, np.int64))
    assert "run the same command again" in str(caught.value)


def test_environments_that_are_not_there_or_fit_no_agent_are_refused():
    with pytest.raises(UserError, match="gymnasium has no environment 'CartPol-v1' to give"):
        gym_worlds.spaces("CartPol-v1")
    with pytest.raises(UserError, match="Blackjack-v1 observes Tuple"):
        gym_worlds.spaces("Blackjack-v1")


def test_a_run_that_an_environment_ended_goes_on_from_its_checkpoint(tmp_path, data_dir, capsys):
    config = cartpole_ppo.get_config("gym,tiny").to_dict()
    name, workdir = f"{FAULTS}:Nan-v0", str(tmp_path / "run")
    config["actor"] = {**config["actor"], "environment": name, "workers": 1}
    config |= {"duration": "4 steps", "checkpoint": {"every": "1 steps"}, "log_every": "1 steps"}
    config["evals"]["eval"] |= {"environment": name, "workers": 1, "every": "end"}
    with pytest.raises(UserError, match="gave the reward nan"):  # in the third rollout of 8 steps
        train(config, workdir, data_dir=data_dir)
    capsys.readouterr()
    assert int(train(config, workdir, data_dir=data_dir).step) == 4
    assert "its episodes begin anew" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert [row["step"] for row in rows if "train/return" in row] == [1, 2, 3, 4]
    assert [row["eval/return"] for row in rows if "eval/return" in row] == [5.0]
