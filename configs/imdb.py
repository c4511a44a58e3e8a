"""Sentiment of IMDB reviews (Maas et al. 2011), from the 25,000 labelled ones alone.

    python -m bigmodel_jax.prepare imdb_reviews --from=aclImdb.tar.xz
    python -m bigmodel_jax.main --config=configs/imdb.py            the default, bag
    python -m bigmodel_jax.main --config=configs/imdb.py:bilstm

    bag         hashed word 1- to 3-grams, a linear model over naive-Bayes features, all of train:
                test accuracy (bag) 92.43 +- 0.01 % over 3 seeds, 1.4 to 2.3 minutes a seed
    lstm        10,000 words, an embedding of 256, one LSTM of 128 read at the last real token:
                test accuracy (lstm) 88.91 +- 0.19 % over 3 seeds, 3.0 to 10.5 minutes a seed
    bilstm      25,000 words, an embedding of 100, an LSTM of 256 each way, maximum over time:
                test accuracy (bilstm) 88.24 (one seed), 12.2 minutes a seed
    textcnn     25,000 words, an embedding of 128, 128 windows of 2, 3 and 4 words, maximum over time:
                test accuracy (textcnn) 89.96 (one seed), 3.0 minutes a seed
    transformer 25,000 words, two pre-norm blocks of 128, mean over tokens:
                test accuracy (transformer) 88.15 (one seed), 25.8 minutes beside eight other jobs
    quick       the lstm on generated reviews (synthetic_reviews), in two minutes without a download

Mean and standard deviation, on 2 cores of an AMD EPYC that had other work to do, 2026-11-22 (the
transformer 2026-11-27), with the texts tokenised before (half a minute more); imdb.expected.json holds
the single values. The
networks compute products in bfloat16; --config.model.dtype=float32 is slower.

`strict` stops where IMDB is not to be had, instead of training on generated reviews; `tiny` shrinks
any of them to seconds; `seed=1` is another seed: `--config=configs/imdb.py:lstm,strict,seed=1`.
`fold=2/5` trains on four fifths of the training part and only validates, on the second fifth.
Everything was chosen on parts of the training part; test is looked at once, at the end.
"""

from ml_collections import ConfigDict, config_dict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    variants = ("bag", "lstm", "bilstm", "textcnn", "transformer", "quick")
    arg = parse_arg(arg, variants, tiny=False, strict=False, seed=0, fold="")
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed

    generated = dict(name="synthetic_reviews", train_size=20_000, test_size=5_000)
    if arg.tiny:
        generated.update(train_size=320, test_size=96)
    real = dict(name="tfds", dataset="imdb_reviews")
    config.data = dict(
        name="text",
        candidates=(generated,) if arg.variant == "quick" or arg.tiny else (real, generated),
        strict=arg.strict,
        splits=dict(train="train[:90%]", val="train[90%:]", test="test"),
        word_vectors=config_dict.placeholder(str),
        transforms=(),
    )
    config.evals = dict(
        val=dict(name="classification", split="val", every="1 epochs"),
        test=dict(name="classification", split="test", every="end"),
    )
    RECIPES[arg.variant](config, arg.tiny)
    if arg.fold:
        parts = dict(train=f"train[not fold {arg.fold}]", val=f"train[fold {arg.fold}]")
        config.data.splits.update(parts)
        del config.evals.test  # choosing by n folds would read test n times
    elif arg.variant == "bag":  # nothing is left to be chosen: all reviews can train it
        config.data.splits.train = "train"
        del config.data.splits.val, config.evals.val
    return config


def bag(config, tiny):
    """Naive-Bayes features of n-grams (Wang and Manning 2012), more of them, the ending twice.

    Adam with a large epsilon: its steps then depend on how often a feature is seen, as they should.
    The usual 1e-8 moves the rare ones, such as names of actors, as far as the common ones, and films
    of other actors are judged worse for it.
    """
    config.data.update(
        tokenizer=dict(name="words", vocabulary_size=200 if tiny else 400_000),
        max_length=64 if tiny else 2048,
        buckets=(32,) if tiny else (128, 192, 256, 320, 384, 512, 768, 1024),
        batch_size=16 if tiny else 256,
    )
    config.model = dict(name="bag", n=3, buckets=2**10 if tiny else 2**24)
    config.model.update(naive_bayes=True, pooling="sqrt", scale=0.1, ending=8 if tiny else 40)
    config.task = dict(name="nb_classify", alpha=3.0, min_count=3)
    config.optimizer = dict(name="adam", lr=0.2, eps=1e-4, schedule=dict(name="cosine"))
    config.duration = "8 epochs"


def lstm(config, tiny):
    """The LSTM of the articles, regularised."""
    sequences(config, tiny, vocabulary_size=10_000)
    config.model = dict(name="lstm", width=16 if tiny else 256, hidden=8 if tiny else 128)
    config.model.update(dtype="bfloat16", dropout=0.5, embed_dropout=0.3, word_dropout=0.1)
    schedule = dict(name="linear", warmup="5%")
    config.optimizer = dict(name="adam", lr=3e-3, clip=1.0, schedule=schedule)
    config.ema = 0.995
    config.duration = "4 epochs"


def bilstm(config, tiny):
    """Both directions, read by the maximum over time."""
    sequences(config, tiny, vocabulary_size=25_000)
    config.model = dict(name="lstm", width=16 if tiny else 100, hidden=8 if tiny else 256)
    config.model.update(bidirectional=True, pooling="max", dtype="bfloat16")
    config.model.update(dropout=0.5, embed_dropout=0.3, word_dropout=0.2)
    schedule = dict(name="cosine", warmup="5%")
    lr = 1e-2 if tiny else 3e-3
    config.optimizer = dict(name="adam", lr=lr, eps=1e-5, clip=1.0, schedule=schedule)
    config.duration = "4 epochs"


def textcnn(config, tiny):
    """Kim 2014 with embeddings of its own; the large epsilon of Adam as in the bag."""
    sequences(config, tiny, vocabulary_size=25_000)
    config.model = dict(name="textcnn", sizes=(2, 3, 4), dtype="bfloat16")
    config.model.update(width=16 if tiny else 128, features=8 if tiny else 128)
    config.model.update(dropout=0.5, embed_dropout=0.2, word_dropout=0.2)
    schedule = dict(name="cosine", warmup="5%")
    config.optimizer = dict(name="adam", lr=5e-3, eps=1e-4, clip=1.0, schedule=schedule)
    config.duration = "6 epochs"


def transformer(config, tiny):
    """A small pre-norm encoder, read by the mean over tokens; its cost grows with the square."""
    sequences(config, tiny, vocabulary_size=25_000)
    if not tiny:
        config.data.update(max_length=256, buckets=(64, 128, 192))
    config.model = dict(name="transformer", width=16 if tiny else 128, num_heads=4)
    config.model.update(num_layers=2, mlp_ratio=2, dtype="bfloat16")
    config.model.update(dropout=0.2, embed_dropout=0.2, word_dropout=0.2)
    schedule = dict(name="cosine", warmup="10%")
    config.optimizer = dict(name="adamw", lr=1e-3, weight_decay=0.05, clip=1.0, schedule=schedule)
    config.duration = "4 epochs"


def quick(config, tiny):
    """The LSTM on generated reviews, which are short."""
    lstm(config, tiny)
    if not tiny:
        config.data.update(max_length=160, buckets=(48, 64, 96))


def sequences(config, tiny, vocabulary_size):
    """What the models that read words in order share."""
    config.data.update(
        tokenizer=dict(name="words", vocabulary_size=200 if tiny else vocabulary_size),
        max_length=64 if tiny else 400,
        buckets=(32,) if tiny else (64, 128, 192, 256, 320),
        batch_size=16 if tiny else 64,
    )
    config.task = dict(name="classify")
    config.early_stopping = dict(metric="val/accuracy", mode="max", patience=0)


RECIPES = {
    "bag": bag,
    "lstm": lstm,
    "bilstm": bilstm,
    "textcnn": textcnn,
    "transformer": transformer,
    "quick": quick,
}
