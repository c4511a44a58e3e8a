"""Clears ten cells: the agent of an introduction to reinforcement learning, made to learn (docs/acting.md).

    python -m bigmodel_jax.main --config=configs/bitcells.py
    python -m bigmodel_jax.main --config=configs/bitcells.py:adapt,start=runs/bitcells

    learn   10-128-64-10 by REINFORCE, from scratch; the best return is 10
    adapt   the same where action i clears the cell i + shift, from the parameters of the run at `start`

Seed 0, 2026-11-28: learn is at 10 from its first evaluation on, step 80, and took 57 s beside much other
work; adapt is at -6 at step 80 and at 10 from step 320 on.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, ("learn", "adapt"), tiny=False, seed=0, shift=3, start="runs/bitcells")
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    world = dict(name="bitcells", cells=10, shift=0, limit=20)
    config.data = dict(name="acting", environment=world, number=16, length=40)
    config.model = dict(name="mlp", hidden=(128, 64), num_classes=10)
    config.task = dict(name="reinforce", gamma=0.5, entropy=0.01)
    config.optimizer = dict(name="adam", lr=1e-3)
    config.duration = "800 steps"
    config.repeat, config.log_every = 8, "80 steps"
    config.evals = dict(eval=dict(name="returns", every="80 steps", episodes=1))
    if arg.variant == "adapt":
        config.data.environment.shift = arg.shift
        config.init_from.path = arg.start
    if arg.tiny:
        config.model.hidden = (16,)
        config.data.update(number=8, length=24)
        config.duration = "20 steps"
        config.repeat, config.log_every = 2, "10 steps"
        config.evals.eval.every = "10 steps"
    return config
