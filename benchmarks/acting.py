"""Environment steps a second of PPO on CartPole, acting and learning: ours in three forms of one work.

    python benchmarks/acting.py     # needs the extras [parity] and [rl]

    jax         configs/cartpole_ppo.py: the environment is a part of the program
    gymnasium   configs/cartpole_ppo.py:gym: two worker processes, one dispatch an action
    torch       benchmarks/acting_torch.py: gymnasium's SyncVectorEnv and PyTorch, one thread

All have 8 environments, 128 steps between updates, 4 epochs of 4 minibatches and the same network. The
three take turns, so that what else the machine does strikes all alike; shown are medians of the turns.
"""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # more are slower on rows of 256

import jax
import numpy as np

from bigmodel_jax import sharding, steps
from bigmodel_jax.verifying import stepping
from configs import cartpole_ppo

AT_ONCE = 8  # updates a dispatch, as in the config


class Ours:
    """Our PPO; `run(count)` makes so many updates."""

    def __init__(self, stepper, actor):
        self.plan, self.actor, self.done = stepper.plan, actor, 0
        self.state = stepper.start()
        step = steps.counted(self.plan.step)
        step = step if actor else steps.repeat(AT_ONCE, step)
        self._update = jax.jit(step.update, donate_argnums=0)
        self._act = jax.jit(self.plan.task.act)

    def run(self, count):
        for _ in range(count if self.actor else count // AT_ONCE):
            batch = {}
            if self.actor:
                batch = self.plan.source.collect(self._act, self.state.variables, self.done)
            placed = sharding.put(batch, self.plan.mesh)
            self.state, _ = self._update(self.state, placed, jax.random.key(0))
            self.done += 1
        jax.block_until_ready(self.state)


class Torch:
    """PyTorch's."""

    def __init__(self):
        import torch
        from acting_torch import Learner

        torch.set_num_threads(1)
        self._learner = Learner("CartPole-v1", 8, 128, epochs=4, minibatches=4)

    def run(self, count):
        for _ in range(count):
            self._learner.update()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    plain = cartpole_ppo.get_config("jax").to_dict()
    acting = cartpole_ppo.get_config("gym").to_dict()
    with stepping.opened(plain, "") as in_jax, stepping.opened(acting, "") as in_gym:
        updates = {"jax": 80, "gymnasium": 4, "torch": 4}
        players = {"jax": Ours(in_jax, False), "gymnasium": Ours(in_gym, True), "torch": Torch()}
        rates = {name: [] for name in players}
        for name, player in players.items():
            player.run(updates[name])  # compiles, starts processes
        for _ in range(turns):
            for name, player in players.items():
                begun = time.perf_counter()
                player.run(updates[name])
                rates[name].append(updates[name] * 1024 / (time.perf_counter() - begun))
    best = np.median(rates["jax"])
    print(f"{'':10} {'steps/s':>9} {'from':>9} {'to':>9} {'jax is':>7}")
    for name, found in rates.items():
        rate = np.median(found)
        print(f"{name:10} {rate:9,.0f} {min(found):9,.0f} {max(found):9,.0f} {best / rate:6.1f}x")


if __name__ == "__main__":
    main()
