"""Vision transformers on ImageNet-1k, by the plain recipe of Beyer et al. 2022, for a pod.

    python -m bigmodel_jax.plan --config=configs/imagenet.py:vit-l16 --topology=v6e:4x4
    python -m bigmodel_jax.main --config=configs/imagenet.py

    vit-s16    12 layers, 384 wide
    vit-l16    24 layers, 1,024 wide; parameters and moments are split over the devices

Batches of 1,024, 90 epochs, AdamW with warm-up and a cosine, the mean of the patches pooled, sin-cos
positions, TrivialAugment in place of their RandAugment, mixup. The last hundredth of the training part
validates, the published validation part is the test and is looked at once, at the end. tfds must have
prepared imagenet2012 as array_record. docs/plan.md has what vit-l16 comes to on a pod. Not yet run.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, ("vit-s16", "vit-l16"), tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="images",
        reader=dict(name="tfds_images", dataset="imagenet2012"),
        splits=dict(train="train[:99%]", val="train[99%:]", test="validation"),
        image_size=224,
        batch_size=1024,
        transforms=(
            dict(name="random_resized_crop", size=224, scale=(0.05, 1.0)),
            dict(name="flip"),
            dict(name="trivial_augment"),
        ),
        batch_transforms=(dict(name="mix", mixup=0.2),),
    )
    config.model = dict(
        name="vit",
        num_classes=1000,
        image_size=224,
        width=384,
        num_heads=6,
        positions="sincos",
        pooling="mean",
        dtype="bfloat16",
    )
    config.task = dict(name="classify")
    config.optimizer = dict(name="adamw", lr=1e-3, weight_decay=0.1, clip=1.0)
    config.optimizer.schedule = dict(name="cosine", warmup="10000 steps")
    config.duration = "90 epochs"
    config.evals = dict(
        val=dict(name="classification", split="val", every="1 epochs"),
        test=dict(name="classification", split="test", every="end"),
    )
    if arg.variant == "vit-l16":
        config.mesh = dict(data=1, fsdp=-1)
        config.model.update(width=1024, num_layers=24, num_heads=16, scan=True, remat="dots")
    if arg.tiny:
        config.data.reader = dict(name="synthetic_images", train_size=640, test_size=96, size=24)
        config.data.update(image_size=16, batch_size=32)
        config.data.splits.test = "test"
        config.data.transforms = (
            dict(name="random_resized_crop", size=16, scale=(0.25, 1.0)),
            dict(name="flip"),
            dict(name="trivial_augment"),
        )
        config.model.update(num_classes=5, image_size=16, patch_size=4)
        config.model.update(width=16, num_layers=2, num_heads=4)
        config.optimizer.schedule.warmup = "10%"
        config.duration = "3 epochs"
    return config
