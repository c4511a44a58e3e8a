"""Policy gradients (Williams 1992): once with an environment in JAX, once with an actor.

The environment shows one of four cues; the action of the same number is rewarded by 1.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import steps
from bigmodel_jax.metrics import mean
from bigmodel_jax.steps import Aux
from bigmodel_jax.tasks import base

ENVIRONMENTS, CUES = 16, 4


class Model(nn.Module):
    @nn.compact
    def __call__(self, cue, *, train=False):
        return nn.Dense(CUES, name="policy")(jax.nn.one_hot(cue, CUES))


class Task(base.Task):
    def __init__(self, model, rollout=False):
        super().__init__(model)
        self.rollout = rollout

    def inputs(self, batch):
        return (batch["cue"] if "cue" in batch else jnp.zeros(ENVIRONMENTS, jnp.int32),)

    def loss(self, variables, batch, rng, *, train):
        logits, _ = self.apply(variables, batch, rng, train=False)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), batch["action"][..., None], -1)
        advantage = batch["reward"] - batch["reward"].mean()
        return mean(-chosen[..., 0] * advantage), Aux({"reward": mean(batch["reward"])})

    def act(self, variables, cue, rng):
        logits, _ = self.apply(variables, {"cue": cue}, None, train=False)
        return jax.random.categorical(rng, logits)

    def step(self, optimizer):
        learn = steps.gradient(self.loss, optimizer)
        if not self.rollout:
            return learn

        def reset():
            return {"cue": jnp.zeros(ENVIRONMENTS, jnp.int32), "steps": jnp.zeros((), jnp.int32)}

        def move(state, environment, rng):
            act_rng, cue_rng = jax.random.split(rng)
            action = self.act(state.variables, environment["cue"], act_rng)
            reward = (action == environment["cue"]).astype(jnp.float32)
            seen = {"cue": environment["cue"], "action": action, "reward": reward}
            cue = jax.random.randint(cue_rng, (ENVIRONMENTS,), 0, CUES)
            return {"cue": cue, "steps": environment["steps"] + 1}, seen

        return steps.rollout(reset, move, 8, learn)


class Actor:
    """Acts on the host side, in an environment whose state is a pytree that is saved."""

    batch_size, examples, steps_per_epoch, info = ENVIRONMENTS, 0, 1, {}

    def __init__(self, seed):
        self.seed = seed
        self.cue = np.zeros(ENVIRONMENTS, np.int32)

    def peek(self):
        zeros = np.zeros(ENVIRONMENTS, np.int32)
        return {"cue": zeros, "action": zeros, "reward": zeros.astype(np.float32)}

    def collect(self, act, variables, step):
        rng = jax.random.fold_in(jax.random.key(self.seed + 1), step)
        action = np.asarray(act(variables, self.cue, rng))
        reward = (action == self.cue).astype(np.float32)
        batch = {"cue": self.cue, "action": action, "reward": reward}
        self.cue = np.random.default_rng((self.seed, step)).integers(0, CUES, ENVIRONMENTS)
        self.cue = self.cue.astype(np.int32)
        return batch

    def state(self):
        return {"cue": self.cue}

    def restore(self, state):
        self.cue = np.asarray(state["cue"])


def config(rollout: bool, **changes):
    data = dict(data=dict(name="nothing", batch_size=ENVIRONMENTS))
    actor = dict(actor=dict(name="tests.strains.policy"))
    return dict(
        duration="12 steps",
        log_every="4 steps",
        **(data if rollout else actor),
        model=dict(name="tests.strains.policy"),
        task=dict(name="tests.strains.policy", rollout=rollout),
        optimizer=dict(name="adam", lr=0.1),
        checkpoint=dict(every="4 steps"),
        **changes,
    )
