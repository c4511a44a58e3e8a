"""Pretrains a small vision transformer on CIFAR-10's images without their labels, by masked autoencoding.

    python -m bigmodel_jax.main --config=configs/cifar10_mae.py
    python -m bigmodel_jax.main --config=configs/cifar10_finetune.py

Three quarters of the patches of 4 x 4 pixels are hidden, and painted by a small decoder (He et al. 2022).
The last tenth of the training part says how well, and how its images' classes can be told from what
the encoder makes of them ("knn"). epochs=30: on 2 cores (Zen 4) 2026-11-28, beside much other work, 56 minutes of steps; a loss of 0.4731 on
that tenth, of whose classes the nearest neighbours tell 50.5 %. What it is good for cifar10_finetune.py says.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg

ENCODER = dict(
    image_size=32,
    patch_size=4,
    width=128,
    num_layers=6,
    num_heads=4,
    positions="sincos",
    pooling="mean",
    dtype="bfloat16",
)
SMALL = dict(width=16, num_layers=2, num_heads=4)


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0, epochs=30)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="images",
        reader=dict(name="tfds_images", dataset="cifar10_jpeg"),
        splits=dict(train="train[:90%]", val="train[90%:]"),
        image_size=32,
        stored=True,
        resident=True,
        batch_size=256,
        batch_transforms=(dict(name="flip"), dict(name="pad_crop", pad=4)),
    )
    config.model = dict(name="mae", **ENCODER, decoder_width=64, decoder_layers=2, decoder_heads=4)
    config.task = dict(name="mae")
    config.optimizer = dict(name="adamw", lr=1e-3, b2=0.95, weight_decay=0.05, clip=1.0)
    config.optimizer.schedule = dict(name="cosine", warmup="10%")
    config.duration = f"{arg.epochs} epochs"
    config.evals = dict(
        val=dict(name="loss", split="val", every="5 epochs"),
        knn=dict(name="probe", kind="knn", split="val", fit_split="train", every="end"),
    )
    if arg.tiny:
        config.data.reader = dict(name="synthetic_images", train_size=640, test_size=96)
        config.data.batch_size = 32
        config.model.update(SMALL, decoder_width=16, decoder_layers=1, decoder_heads=4)
        config.optimizer.lr = 1e-2
        config.duration, config.evals.val.every = "2 epochs", "1 epochs"
        config.log_every = "10 steps"
    return config
