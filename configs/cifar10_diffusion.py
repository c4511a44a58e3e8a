"""CIFAR-10 images of a class that is asked for, by diffusion. For a GPU.

    python -m bigmodel_jax.prepare cifar10_jpeg --from=cifar10_jpeg.zip
    python -m bigmodel_jax.main --config=configs/cifar10.py:fast      # runs/cifar10-fast looks at what is painted
    python -m bigmodel_jax.main --config=configs/cifar10_diffusion.py

    unet   Ho et al.'s sizes, predicts v along the cosine path
    dit    DiT-S/2 (Peebles and Xie 2023), predicts the velocity along a straight path

Not yet run.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, ("unet", "dit"), tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="images",
        reader=dict(name="tfds_images", dataset="cifar10_jpeg"),
        splits=dict(train="train", test="test"),
        image_size=32,
        stored=True,
        resident=True,
        batch_size=256,
        batch_transforms=(dict(name="flip"),),
    )
    config.task = dict(name="diffusion", guidance=1.5, sampling_steps=50)
    config.optimizer = dict(name="adamw", lr=2e-4, weight_decay=0.01, b2=0.99, clip=1.0)
    config.optimizer.schedule = dict(name="constant", warmup="5000 steps")
    if arg.variant == "unet":
        config.model = dict(name="unet", width=128, widths=(1, 2, 2, 2), dtype="bfloat16")
        config.task.prediction = "v"
    else:
        config.model = dict(name="dit", dtype="bfloat16")
        config.task.prediction = "flow"
    config.ema = 0.9999
    config.duration = "1000 epochs"
    config.log_every = "100 steps"
    config.evals = dict(
        test=dict(name="generated", split="test", classifier="runs/cifar10-fast", every="end"),
        painted=dict(name="samples", every="50 epochs"),
    )
    if arg.tiny:
        config.data.reader = dict(
            name="synthetic_images", train_size=640, test_size=96, size=16, channels=3
        )
        config.data.update(image_size=16, batch_size=16)
        small = dict(
            unet=dict(width=8, widths=(1, 2), blocks=1, attention=()),
            dit=dict(patch=4, width=32, num_layers=2, num_heads=2),
        )
        config.model.update(small[arg.variant], dtype="float32")
        config.task.sampling_steps, config.ema = 4, 0.9
        config.optimizer.lr, config.optimizer.schedule = 1e-2, dict(name="cosine")
        config.evals.test = dict(name="loss", split="test", every="end")
        config.evals.painted.every = "1 epochs"
        config.log_every, config.duration = "10 steps", "2 epochs"
    return config
