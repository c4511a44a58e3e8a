"""Balances a pole: PPO.

    python -m bigmodel_jax.main --config=configs/cartpole_ppo.py:seed=1
    python -m bigmodel_jax.main --config=configs/cartpole_ppo.py:gym
    python -m bigmodel_jax.play --workdir=runs/cartpole_ppo-seed=1

    jax   acting and learning are one program
    gym   the same with gymnasium's CartPole-v1, in worker processes (pip install 'bigmodel_jax[rl]')

Half a million steps in the environment; a return of 500 is all there is. docs/acting.md.

    jax   494.3, 495.8, 496.7, 494.3 and 494.4 at the end, seed=0 to 4, 2026-11-28, mean 495.1 +- 1.1; 19 to
          51 s a seed on 2 cores of an AMD EPYC that had much other work
    gym   not yet run to a result
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, ("jax", "gym"), tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(name="acting", environment=dict(name="cartpole"), number=8, length=128)
    config.model = dict(name="actor_critic")
    config.task = dict(name="ppo", value_clip=0.2)
    config.optimizer = dict(name="adam", lr=2.5e-4, eps=1e-5, clip=0.5)
    config.optimizer.schedule = dict(name="linear")
    config.duration = "499712 examples"  # 488 updates
    config.repeat, config.log_every = 8, "40 steps"
    config.evals = dict(eval=dict(name="returns", every="80 steps"))
    if arg.tiny:
        shrink(config)
    if arg.variant == "gym":
        sizes = dict(number=config.data.number, length=config.data.length)
        config.actor = dict(name="gym", environment="CartPole-v1", workers=2, **sizes)
        config.data = dict(name="nothing")
        config.repeat = 1
        config.evals.eval.environment = "CartPole-v1"
    return config


def shrink(config):
    """A few seconds; what all configs of PPO are at `tiny`."""
    config.model.hidden = (16,)
    config.data.update(number=8, length=8)
    config.task.update(epochs=1, minibatches=1)
    config.duration = "20 steps"
    config.repeat, config.log_every = 2, "10 steps"
    config.evals.eval.update(every="10 steps", episodes=4)
