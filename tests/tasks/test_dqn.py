"""DQN against loops in NumPy: its goals, its losses, how it explores, what it remembers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import optim, steps
from bigmodel_jax.durations import Clock
from bigmodel_jax.errors import UserError
from bigmodel_jax.models import q_network
from bigmodel_jax.sharding import unbox
from bigmodel_jax.tasks import dqn

RNG = np.random.default_rng(0)
CARTPOLE = {"name": "cartpole"}


def agent(begin=12, **options):
    """(task, variables with a target that differs)."""
    model = q_network.Model(num_actions=2, hidden=(8,))
    task = dqn.Task(model, CARTPOLE, 4, 3, capacity=16, begin=begin, batch_size=5, **options)
    variables = unbox(task.init(jax.random.key(0), {"observation": jnp.zeros((1, 4))}))
    target = jax.tree.map(lambda x: x + 0.3, variables["target"])
    return task, {**variables, "target": target}


@pytest.mark.parametrize("double", [True, False])
def test_goals_and_losses_are_those_of_a_loop(double):
    task, variables = agent(double=double)
    rows = {
        "observation": RNG.normal(size=(5, 4)).astype(np.float32),
        "next_observation": RNG.normal(size=(5, 4)).astype(np.float32),
        "action": np.array([0, 1, 1, 0, 1], np.int32),
        "reward": RNG.normal(size=5).astype(np.float32),
        "terminated": np.array([False, True, False, False, False]),
    }
    rows = jax.tree.map(jnp.asarray, rows)
    weight = RNG.random(5).astype(np.float32)
    judged, errors = task.judged(variables, rows)
    loss, _ = task.loss(variables, {**judged, "weight": jnp.asarray(weight)}, None, train=True)
    later = {
        name: np.asarray(task.values({"params": variables[name]}, rows["next_observation"]))
        for name in ("params", "target")
    }
    value, total = np.asarray(task.values(variables, rows["observation"])), 0.0
    for i in range(5):
        best = later["params" if double else "target"][i].argmax()
        more = 0.0 if rows["terminated"][i] else 0.99 * later["target"][i][best]
        error = float(rows["reward"][i]) + more - value[i][rows["action"][i]]
        assert errors[i] == pytest.approx(error, rel=1e-4, abs=1e-5)
        total += weight[i] * (error**2 if abs(error) <= 1 else 2 * abs(error) - 1)
    assert float(loss.total) == pytest.approx(total, rel=1e-4) and loss.weight == 5


def test_a_duelling_network_says_the_value_and_the_advantages_over_their_mean():
    model = q_network.Model(num_actions=3, hidden=())
    variables = unbox(model.init(jax.random.key(0), jnp.zeros((1, 4))))
    x = RNG.normal(size=(2, 4)).astype(np.float32)
    parts = {k: x @ np.asarray(p["kernel"]) for k, p in variables["params"].items()}
    advantage = parts["advantage"]
    wanted = parts["value"] + advantage - advantage.mean(-1, keepdims=True)
    np.testing.assert_allclose(model.apply(variables, x), wanted, rtol=1e-4, atol=1e-5)


def test_it_remembers_explores_and_waits_before_it_learns():
    task, variables = agent(begin=16, explore=4, random=0.1, updates=2)
    optimizer = optim.build({"name": "sgd", "lr": 0.1}, Clock(1, 12, 10), variables["params"])
    step = task.step(optimizer)
    update = jax.jit(steps.counted(step).update)
    start = steps.create_state(step, variables)

    def moved(state):
        found = {"params": state.params, "target": state.variables["target"]}
        changed = jax.tree.map(lambda a, b: bool((a != b).any()), found, dict(variables))
        return jax.tree.leaves(changed)

    state, waiting = update(start, {}, jax.random.key(0))
    assert int(state.slots["replay"]["filled"]) == 12 and not any(moved(state))
    assert waiting["loss"].weight == 0
    state, metrics = update(state, {}, jax.random.key(0))
    memory = state.slots["replay"]
    assert (int(memory["filled"]), int(memory["next"])) == (16, 8) and all(moved(state))
    assert metrics["loss"].weight == 10  # two descents of five rows
    for count, share in ((0, 1.0), (2, 0.5), (40, 0.1)):
        act = task.exploring(state.replace(step=jnp.int32(count)))
        seen = jnp.zeros((4000, 4))
        usual = task.act(variables, seen, None)
        chosen = act(variables, seen, jax.random.key(1))
        assert float((chosen != usual).mean()) == pytest.approx(share / 2, abs=0.03)


def test_what_it_cannot_do_is_one_sentence():
    class Source:
        batch_size = 12

    task, _ = agent()
    task.check(Source)
    task.begin = 8
    with pytest.raises(UserError, match="begin is 8, but is to be from 12, .* to 16"):
        task.check(Source)
    with pytest.raises(UserError, match="dqn chooses among a few actions"):
        dqn.Task(task.model, {"name": "pendulum"}, 4, 3).check(Source)
