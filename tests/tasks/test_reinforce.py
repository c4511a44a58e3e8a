"""REINFORCE against a loop over episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.models import mlp
from bigmodel_jax.sharding import unbox
from bigmodel_jax.tasks import reinforce

RNG = np.random.default_rng(0)


def test_the_loss_is_that_of_a_loop_over_the_steps_whose_end_is_seen():
    task = reinforce.Task(mlp.Model(num_classes=3, hidden=(6,)), gamma=0.8, entropy=0.1)
    batch = {
        "observation": RNG.normal(size=(2, 5, 4)).astype(np.float32),
        "action": RNG.integers(0, 3, (2, 5)).astype(np.int32),
        "reward": RNG.normal(size=(2, 5)).astype(np.float32),
        "terminated": np.array([[0, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool),
        "truncated": np.array([[0, 0, 0, 1, 0], [0, 0, 1, 0, 0]], bool),
    }
    batch = jax.tree.map(jnp.asarray, batch)
    variables = unbox(task.init(jax.random.key(0), {"observation": jnp.zeros((1, 4))}))
    loss, _ = task.loss(variables, task.judged(batch), None, train=True)
    episodes = [(0, (0, 1)), (0, (2, 3)), (1, (0, 1, 2))]  # the last steps' ends were not seen
    rows = []
    for world, times in episodes:
        for t in times:
            later = [u for u in times if u >= t]
            total = sum(0.8 ** (u - t) * float(batch["reward"][world, u]) for u in later)
            logits = task.model.apply(variables, batch["observation"][world, t][None])[0]
            p = np.asarray(jax.nn.softmax(logits))
            rows.append((total, np.log(p[batch["action"][world, t]]), -(p * np.log(p)).sum()))
    usual = np.mean([total for total, _, _ in rows])
    wanted = sum(-log_p * (total - usual) - 0.1 * entropy for total, log_p, entropy in rows)
    assert loss.weight == 7 and float(loss.total) == pytest.approx(wanted, rel=1e-4)
