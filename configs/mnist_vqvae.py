"""Handwritten digits as 7 x 7 codes out of 128, and a decoder that writes such codes for a class.

    python -m bigmodel_jax.prepare mnist --from=FOLDER
    python -m bigmodel_jax.main --config=configs/mnist.py:cnn       # runs/mnist-cnn looks at what is painted
    python -m bigmodel_jax.main --config=configs/mnist_vqvae.py
    python -m bigmodel_jax.sample --workdir=runs/mnist_vqvae --class=7 --n=64 --out=sevens.png

Both learn in one run: the rate of the autoencoder falls to a thirtieth by the middle, so that the prior then
learns of codes that hardly move. Not yet run to a result.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg
from configs.mnist import digits


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = digits(arg.tiny, batch_size=64)
    prior = dict(width=128, num_layers=4, num_heads=4, dropout=0.1)
    config.model = dict(name="vqvae", width=32, codes=128, dim=16, prior=prior)
    config.task = dict(name="vqvae")
    adam = dict(name="adamw", lr=1e-3, weight_decay=0.01, b2=0.99, clip=1.0)
    config.optimizer = dict(
        codes=dict(
            adam, train=("encoder/.*", "decoder/.*"), schedule=dict(name="exponential", end=1e-3)
        ),
        prior=dict(adam, train=("prior/.*",), schedule=dict(name="cosine", warmup="5%")),
    )
    config.duration = "10 epochs"
    config.log_every = "50 steps"
    config.evals = dict(
        test=dict(name="codes", split="test", every="end"),
        generated=dict(name="generated", split="test", classifier="runs/mnist-cnn", every="end"),
        painted=dict(name="samples", every="1 epochs"),
    )
    if arg.tiny:
        config.model.update(width=8, codes=16, dim=4)
        config.model.prior = dict(width=16, num_layers=2, num_heads=2)
        del config.evals.generated
        config.log_every, config.duration = "10 steps", "2 epochs"
    return config
