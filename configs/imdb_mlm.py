"""A small BERT, pretrained on the texts of IMDB's 25,000 training reviews without their labels.

    python -m bigmodel_jax.prepare imdb_reviews --from=aclImdb.tar.xz
    python -m bigmodel_jax.main --config=configs/imdb_mlm.py
    python -m bigmodel_jax.main --config=configs/imdb_finetune.py

The last tenth of the reviews only validates. Then configs/imdb_finetune.py learns the labels.

val loss 3.831 nats a hidden token, 37.3 % of them guessed: one seed, 62 minutes on 2 cores of an AMD
EPYC (Zen 4) that had other work to do, 2026-11-28. Sizes and rates are first guesses.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    corpus(config, arg.tiny)
    config.data.update(shift=False, words=True)
    config.model = dict(name="bert", width=128, num_layers=4, num_heads=2, num_types=0)
    config.model.update(norm_first=True, positions="rope", dtype="bfloat16")
    config.task = dict(name="masked_lm", rate=0.25, whole_words=True)
    schedule = dict(name="linear", warmup="5%")
    config.optimizer = dict(name="adamw", lr=2e-3, weight_decay=0.05, clip=1.0, b2=0.98)
    config.optimizer.schedule = schedule
    config.duration = "6 epochs"
    if arg.tiny:
        shrink(config)
    return config


def corpus(config, tiny):
    """The reviews as rows of 256 pieces of words; all of test stays unread."""
    config.data = dict(
        name="tokens",
        dataset="imdb_reviews",
        tokenizer=dict(name="raw", kind="wordpiece", vocabulary_size=8_000, lowercase=True),
        splits=dict(train="train[:90%]", val="train[90%:]"),
        length=256,
        batch_size=32,
    )
    config.evals = dict(val=dict(name="language", split="val", every="1 epochs"))
    if tiny:
        config.data.reader = dict(name="synthetic_reviews", train_size=320, test_size=96)
        del config.data.dataset
        config.data.update(length=32, batch_size=8)
        config.data.tokenizer.vocabulary_size = 300


def shrink(config):
    """A model that trains in seconds."""
    config.model.update(width=16, num_layers=2, num_heads=4)
    config.duration = "2 epochs"
