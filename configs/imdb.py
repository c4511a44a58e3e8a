"""Sentiment of IMDB reviews, from 25,000 labelled reviews.

python -m bigmodel_jax.prepare imdb_reviews --from=aclImdb.tar.xz
python -m bigmodel_jax.main --config=configs/imdb.py:lstm
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, ("lstm", "bag"), tiny=False, quick=False, strict=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="text",
        candidates=(
            dict(name="tfds", dataset="imdb_reviews"),
            dict(name="synthetic_reviews", train_size=20_000, test_size=5_000),
        ),
        strict=arg.strict,
        splits=dict(train="train[:90%]", val="train[90%:]", test="test"),
        tokenizer=dict(name="words", vocabulary_size=10_000),
        max_length=400,
        keep="tail",
        buckets=(64, 128, 192, 256, 320),
        batch_size=32,
    )
    config.model = dict(name="lstm", dropout=0.3)
    config.task = dict(name="classify")
    config.optimizer = dict(
        name="adam", lr=2e-3, clip=1.0, schedule=dict(name="cosine", warmup="2%")
    )
    config.duration = "4 epochs"
    if arg.quick or arg.tiny:
        sizes = (
            dict(train_size=320, test_size=96)
            if arg.tiny
            else dict(train_size=20_000, test_size=5_000)
        )
        config.data.candidates = (dict(name="synthetic_reviews", **sizes),)
        config.data.max_length = 64 if arg.tiny else 160
    if arg.tiny:
        config.data.batch_size = 16
        config.data.tokenizer.vocabulary_size = 200
        config.model.width, config.model.hidden = 16, 8
        config.data.buckets = (32,)
    config.evals = dict(
        val=dict(name="classification", split="val", every="1 epochs"),
        test=dict(name="classification", split="test", every="end"),
    )
    config.early_stopping = dict(metric="val/accuracy", mode="max", patience=0)
    return config
