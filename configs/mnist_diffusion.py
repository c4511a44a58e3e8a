"""Handwritten digits of a class that is asked for: diffusion by a small U-Net.

    python -m bigmodel_jax.prepare mnist --from=FOLDER
    python -m bigmodel_jax.main --config=configs/mnist.py:cnn       # runs/mnist-cnn looks at what is painted
    python -m bigmodel_jax.main --config=configs/mnist_diffusion.py
    python -m bigmodel_jax.sample --workdir=runs/mnist_diffusion --class=7 --n=64 --out=sevens.png

    v      predicts v along the cosine path, paints by DDIM
    flow   predicts the velocity along a straight path, paints by Euler's method

Not yet run to a result.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg
from configs.mnist import digits


def get_config(arg=None):
    arg = parse_arg(arg, ("v", "flow"), tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = digits(arg.tiny, batch_size=64)
    config.model = dict(name="unet", patch=2, width=32, widths=(1, 2), blocks=1, attention=())
    config.task = dict(name="diffusion", prediction=arg.variant, guidance=1.5, sampling_steps=25)
    config.optimizer = dict(name="adamw", lr=1e-3, weight_decay=0.01, b2=0.99, clip=1.0)
    config.optimizer.schedule = dict(name="cosine", warmup="5%")
    config.ema = 0.999
    config.duration = "8 epochs"
    config.log_every = "50 steps"
    config.evals = dict(
        test=dict(name="generated", split="test", classifier="runs/mnist-cnn", every="end"),
        painted=dict(name="samples", every="1 epochs"),
    )
    if arg.tiny:
        config.model.width, config.task.sampling_steps = 8, 4
        config.optimizer.lr = 1e-2
        config.evals.test = dict(name="loss", split="test", every="end")
        config.log_every, config.duration = "10 steps", "2 epochs"
    return config
