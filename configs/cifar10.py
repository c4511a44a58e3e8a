"""CIFAR-10 from its JPEG copy, which lost a little of each image: results are those of cifar10_jpeg.

    python -m bigmodel_jax.prepare cifar10_jpeg --from=cifar10_jpeg.zip
    python -m bigmodel_jax.main --config=configs/cifar10.py:small

    small      airbench's network and recipe (Jordan 2024) at half its width, for 2 cores
    fast       the same as it was published, for a GPU
    resnet18   He et al.'s with a stem for small images, 200 epochs, for a GPU
    vit        a small vision transformer, 300 epochs with TrivialAugment and mixing, for a GPU
    val        learns from 9 tenths of the training part, and says how good it is on the last: for
               choosing a recipe; else from all of it
    epochs=12  instead of the variant's own

The test part is looked at once, at the end.

    small      88.05 (one seed) % of the test part, 2026-11-28, on 2 cores (Zen 4) in 52 minutes beside much
               other work, by the code of 8a87112
    others     not yet run to a result
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg

VARIANTS = ("small", "fast", "resnet18", "vit")


def get_config(arg=None):
    arg = parse_arg(arg, VARIANTS, tiny=False, seed=0, val=False, epochs=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="images",
        reader=dict(name="tfds_images", dataset="cifar10_jpeg"),
        splits=dict(train="train[:90%]", val="train[90%:]") if arg.val else dict(train="train"),
        image_size=32,
        stored=True,
        resident=True,
        batch_size=1000,
    )
    config.data.splits.test = "test"
    flips = arg.variant in ("small", "fast")
    test = dict(name="classification", split="test", every="end", flips=flips)
    config.evals = dict(test=test)
    if arg.val:
        config.evals = dict(val={**test, "split": "val", "every": "1 epochs"})
    dict(small=airbench, fast=airbench, resnet18=resnet18, vit=vit)[arg.variant](config)
    if arg.variant == "small":
        config.model.widths = (32, 128, 128)
    if arg.epochs:
        config.duration = f"{arg.epochs} epochs"
    if arg.tiny:
        shrink(config, arg.variant)
    return config


def airbench(config):
    """In units of a mean loss: the authors sum it over a batch of 1024, and scale their rate for that."""
    config.data.batch_transforms = (dict(name="flip"), dict(name="pad_crop", pad=2))
    config.model = dict(name="airbench", dtype="bfloat16")
    config.task = dict(name="classify", label_smoothing=0.2)
    config.optimizer = dict(
        name="sgd",
        lr=1.5,
        momentum=0.85,
        nesterov=True,
        l2=1.33e-3,
        freeze=("whiten/kernel",),
        lr_scale=((".*norm_./bias", 64.0),),
    )
    config.optimizer.schedule = dict(name="linear", warmup="23%", end=0.07)
    config.duration = "10 epochs"
    config.ema = 0.95
    config.log_every = "25 steps"


def resnet18(config):
    config.data.update(
        batch_size=128, batch_transforms=(dict(name="flip"), dict(name="pad_crop", pad=4))
    )
    config.model = dict(name="resnet", stem="cifar", dtype="bfloat16")
    config.task = dict(name="classify")
    config.optimizer = dict(name="sgd", lr=0.1, momentum=0.9, nesterov=True, l2=5e-4)
    config.optimizer.schedule = dict(name="cosine", warmup="2%")
    config.duration = "200 epochs"


def vit(config):
    config.data.update(
        batch_size=512,
        resident=False,
        transforms=(dict(name="trivial_augment"),),
        batch_transforms=(
            dict(name="flip"),
            dict(name="pad_crop", pad=4),
            dict(name="mix", mixup=0.8, cutmix=1.0),
        ),
    )
    config.model = dict(
        name="vit",
        patch_size=4,
        width=192,
        num_layers=9,
        num_heads=12,
        mlp_dim=384,
        pooling="mean",
        drop_path=0.1,
        dtype="bfloat16",
    )
    config.task = dict(name="classify", label_smoothing=0.1)
    config.optimizer = dict(name="adamw", lr=1e-3, weight_decay=0.05, clip=1.0)
    config.optimizer.schedule = dict(name="cosine", warmup="5%")
    config.duration = "300 epochs"
    config.ema = 0.999


def shrink(config, variant):
    """A few seconds on generated shapes."""
    config.data.reader = dict(name="synthetic_images", train_size=640, test_size=96)
    config.data.batch_size = 32
    config.duration = "3 epochs"
    config.log_every = "20 steps"
    if variant == "resnet18":
        config.model.update(depths=(1, 1), width=8)
    elif variant == "vit":
        config.model.update(width=16, num_layers=2, num_heads=4, mlp_dim=32)
        config.optimizer.lr = 1e-2
    else:
        config.model.widths = (8, 8, 8)
        config.optimizer.lr = 0.1
