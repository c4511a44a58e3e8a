"""Which optimizer? Five of them on the network of every introduction, each with a rate of its own.

    python -m bigmodel_jax.ablate --config=configs/mnist_optimizers.py:tune --stacked
    python -m bigmodel_jax.ablate --config=configs/mnist_optimizers.py --seeds=5 --stacked

`tune` learns from 9 tenths of the training part, and says how good each of RATES is on the last tenth; the
best of each is in BEST. Without it all 60,000 images are learnt from, and the test part is looked at once,
at the end. Ten epochs at a constant rate, as the introductions have them. Five seeds each, 2026-11-28: 97.79 to
98.14 %, and no evidence of a difference from plain sgd (docs/results/optimizers.md).
"""

from bigmodel_jax.config import parse_arg
from configs import mnist

RATES = {
    "sgd": (3e-2, 1e-1, 3e-1, 1.0),
    "momentum": (3e-3, 1e-2, 3e-2, 1e-1),
    "adagrad": (1e-2, 3e-2, 1e-1, 3e-1),
    "rmsprop": (1e-4, 3e-4, 1e-3, 3e-3),
    "adam": (1e-4, 3e-4, 1e-3, 3e-3),
}
BEST = {"sgd": 3e-1, "momentum": 3e-2, "adagrad": 1e-1, "rmsprop": 3e-4, "adam": 3e-4}


def get_config(arg=None):
    arg = parse_arg(arg, tune=False, tiny=False, seed=0)
    words = ["mlp", f"seed={arg.seed}", *["val"] * arg.tune, *["tiny"] * arg.tiny]
    config = mnist.get_config(",".join(words))
    config.optimizer = optimizer("sgd", BEST["sgd"])
    return config


def get_ablations(arg=None):
    tried = RATES if parse_arg(arg, tune=False, tiny=False, seed=0).tune else BEST
    found = {}
    for name, rates in tried.items():
        for lr in rates if isinstance(rates, tuple) else (rates,):
            found[f"{name}, lr={lr:g}"] = {"optimizer": optimizer(name, lr)}
    found[f"sgd, lr={BEST['sgd']:g}"] = {}  # the config as it is
    return found


def optimizer(name, lr):
    if name == "momentum":
        return dict(name="sgd", lr=lr, momentum=0.9)
    return dict(name=name, lr=lr)
