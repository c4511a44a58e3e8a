"""PPO: its losses against loops in NumPy, and what it does with a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import optim, steps
from bigmodel_jax.acting import policies
from bigmodel_jax.durations import Clock
from bigmodel_jax.models import actor_critic
from bigmodel_jax.sharding import unbox
from bigmodel_jax.tasks import ppo

RNG = np.random.default_rng(0)
ROWS = 12


@pytest.fixture(scope="module", params=["discrete", "continuous"])
def agent(request):
    """(task, variables, transitions of 3 worlds and 4 steps)."""
    discrete = request.param == "discrete"
    sizes = {"num_actions": 3} if discrete else {"action_size": 2}
    task = ppo.Task(actor_critic.Model(hidden=(8,), **sizes), value_clip=0.1, normalise=True)
    seen = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    action = RNG.integers(0, 3, (3, 4)) if discrete else RNG.normal(size=(3, 4, 2))
    batch = {
        "observation": seen[0],
        "next_observation": seen[1],
        "action": action.astype(np.int32 if discrete else np.float32),
        "reward": RNG.normal(size=(3, 4)).astype(np.float32),
        "terminated": RNG.random((3, 4)) < 0.2,
        "truncated": RNG.random((3, 4)) < 0.2,
        "return": RNG.normal(size=(3, 4)).astype(np.float32),
        "length": np.ones((3, 4), np.int32),
    }
    batch = jax.tree.map(jnp.asarray, batch)
    variables = task.init(jax.random.key(0), {"observation": seen[0][:, 0]})
    return task, unbox(variables), batch


def test_the_surrogate_gains_nothing_beyond_the_clip():
    old, new, advantage = RNG.normal(size=(3, ROWS)).astype(np.float32)
    found, clipped = ppo.surrogate(new, old, advantage, 0.2)
    for i in range(ROWS):
        ratio = np.exp(new[i] - old[i])
        held = min(max(ratio, 0.8), 1.2)
        assert found[i] == pytest.approx(min(ratio * advantage[i], held * advantage[i]), rel=1e-4)
        assert bool(clipped[i]) == (not 0.8 <= ratio <= 1.2)


@pytest.mark.parametrize("clip", [0.0, 0.3])
def test_a_value_that_strays_from_the_old_one_is_charged_for_the_worse_of_two(clip):
    value, old, target = RNG.normal(size=(3, ROWS)).astype(np.float32)
    found = ppo.value_error(value, old, target, clip)
    for i in range(ROWS):
        near = min(max(value[i], old[i] - clip), old[i] + clip) if clip else value[i]
        wanted = max((value[i] - target[i]) ** 2, (near - target[i]) ** 2)
        assert found[i] == pytest.approx(wanted, rel=1e-4)


def test_the_loss_is_that_of_a_loop_over_rows(agent):
    task, variables, batch = agent
    rows = task.judged(variables, batch)
    noise = 0.3 * RNG.normal(size=ROWS).astype(np.float32)
    rows = {**rows, "log_p": rows["log_p"] + noise, "value": rows["value"] + noise}
    value, aux = task.loss(variables, rows, None, train=True)
    policy, values = task._outputs(variables, rows)
    advantage = np.asarray(rows["advantage"])
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    wanted = 0.0
    for i in range(ROWS):
        one = {k: v[i] for k, v in policy.items()}
        ratio = np.exp(policies.log_p(one, rows["action"][i]) - rows["log_p"][i])
        gain = min(ratio * advantage[i], np.clip(ratio, 0.8, 1.2) * advantage[i])
        near = rows["value"][i] + np.clip(values[i] - rows["value"][i], -0.1, 0.1)
        error = max((values[i] - rows["return"][i]) ** 2, (near - rows["return"][i]) ** 2)
        wanted += -gain + 0.5 * error - 0.01 * policies.entropy(one)
    assert value.weight == ROWS and float(value.total) == pytest.approx(float(wanted), rel=1e-4)
    assert float(aux.metrics["kl"].total) > 0


def test_before_the_first_update_the_policy_is_the_old_one(agent):
    task, variables, batch = agent
    _, aux = task.loss(variables, task.judged(variables, batch), None, train=True)
    assert float(aux.metrics["kl"].total) == pytest.approx(0, abs=1e-6)
    assert float(aux.metrics["clipped"].total) == 0


@pytest.mark.parametrize("agent", ["discrete"], indirect=True)
def test_an_update_sees_each_row_once_an_epoch_and_then_the_new_statistics(agent):
    task, variables, batch = agent
    seen = []

    def spy(variables, rows, rng, *, train):
        jax.debug.callback(lambda x: seen.append(np.asarray(x)), rows["return"], ordered=True)
        return task.loss(variables, rows, rng, train=train)

    optimizer = optim.build({"name": "sgd", "lr": 0.0}, Clock(1, 1, 10), variables["params"])
    step = steps.minibatch(2, 3, steps.gradient(spy, optimizer))
    state = steps.create_state(step, variables)
    rows = task.judged(variables, batch)
    _, metrics = jax.jit(step.update)(state, rows, jax.random.key(0))
    jax.effects_barrier()
    assert len(seen) == 6 and metrics["loss"].weight == 2 * ROWS
    for epoch in (seen[:3], seen[3:]):
        np.testing.assert_array_equal(np.sort(np.concatenate(epoch)), np.sort(rows["return"]))
    assert not np.array_equal(np.concatenate(seen[:3]), np.concatenate(seen[3:]))
    whole = task.step(optimizer)
    state, metrics = jax.jit(whole.update)(
        steps.create_state(whole, variables), batch, jax.random.key(0)
    )
    observed = state.variables["observations"]
    assert float(observed["count"]) == ROWS
    np.testing.assert_allclose(observed["mean"], batch["observation"].mean((0, 1)), atol=1e-5)
    over = batch["terminated"] | batch["truncated"]
    assert metrics["return"].weight == float(over.sum())
