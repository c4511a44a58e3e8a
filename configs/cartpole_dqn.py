"""Balances a pole by DQN: double, duelling, with prioritised replay, all in one program.

    python -m bigmodel_jax.main --config=configs/cartpole_dqn.py:seed=1

A return of 500 is all there is: 500.0 from step 15,360 on, seed=0 alone, 2026-11-28, on 2 cores of an AMD
EPYC that were taken by other work, so that its time says nothing. Of other seeds not yet run.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(name="acting", environment=dict(name="cartpole"), number=8, length=2)
    config.model = dict(name="q_network")
    config.task = dict(name="dqn", updates=2, explore=3000, target=0.99)
    config.optimizer = dict(name="adam", lr=5e-4, clip=10.0)
    config.optimizer.schedule = dict(name="linear")
    config.duration = "307200 examples"  # 19,200 updates
    config.repeat, config.log_every = 64, "1920 steps"
    config.evals = dict(eval=dict(name="returns", every="1920 steps"))
    if arg.tiny:
        config.model.hidden = (16,)
        config.task.update(capacity=64, begin=16, batch_size=16, explore=10)
        config.duration = "20 steps"
        config.repeat, config.log_every = 2, "10 steps"
        config.evals.eval.update(every="10 steps", episodes=4)
    return config
