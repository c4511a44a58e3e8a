"""Swings the lower of two links above a line: PPO in an environment of JAX.

    python -m bigmodel_jax.main --config=configs/acrobot_ppo.py:seed=1

The return is minus the steps that it took. At the end -78.9, -77.4, -85.1, -81.2 and -78.9, seed=0 to 4,
2026-11-28, mean -80.3 +- 3.0; 2 to 3 minutes a seed on 2 cores of an AMD EPYC that had much other work.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg
from configs.cartpole_ppo import shrink


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(name="acting", environment=dict(name="acrobot"), number=16, length=128)
    config.model = dict(name="actor_critic")
    config.task = dict(name="ppo", normalise=True, minibatches=8)
    config.optimizer = dict(name="adam", lr=1e-3, eps=1e-5, clip=0.5)
    config.optimizer.schedule = dict(name="linear")
    config.duration = "491520 examples"  # 240 updates
    config.repeat, config.log_every = 8, "40 steps"
    config.evals = dict(eval=dict(name="returns", every="40 steps"))
    if arg.tiny:
        shrink(config)
    return config
