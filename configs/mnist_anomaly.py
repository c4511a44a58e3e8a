"""Finds a digit that was never seen: an autoencoder of the other nine paints it worse than them.

    python -m bigmodel_jax.prepare mnist --from=FOLDER
    python -m bigmodel_jax.main --config=configs/mnist_anomaly.py:digit=7
    python -m bigmodel_jax.predict --workdir=runs/mnist_anomaly-digit=7 --image=digit.png

    autoencoder   by the squared error of what it paints
    vae           a variational one, by the bound of the likelihood at the mean of its code

The images of the digit count in no loss; the test part, with all ten, is looked at once, at the end.
Not yet run to a result.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, ("autoencoder", "vae"), tiny=False, seed=0, digit=7)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="images",
        reader=dict(name="tfds_images", dataset="mnist"),
        splits=dict(train="train", test="test"),
        image_size=28,
        channels=1,
        stored=True,
        resident=True,
        batch_size=128,
    )
    config.model = dict(name="autoencoder", hidden=(256, 128), code=16)
    config.task = dict(name="anomaly", anomaly=arg.digit)
    if arg.variant == "vae":
        config.model = dict(name="vae", hidden=(500,), latent=20)
        config.task.name = "vae"
    config.optimizer = dict(name="adam", lr=1e-3)
    config.optimizer.schedule = dict(name="cosine")
    config.repeat = 16
    config.duration = "10 epochs"
    config.log_every = "160 steps"
    config.evals = dict(test=dict(name="anomaly", split="test", every="end"))
    if arg.tiny:
        config.data.reader = dict(
            name="synthetic_images", train_size=640, test_size=96, size=16, channels=1
        )
        config.data.update(image_size=16, batch_size=16)
        config.model.hidden = (32,)
        config.model["code" if arg.variant == "autoencoder" else "latent"] = 4
        config.task.anomaly, config.optimizer.lr = 1, 1e-2
        config.repeat, config.log_every, config.duration = 2, "10 steps", "2 epochs"
    return config
