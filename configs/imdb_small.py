"""How to avoid overfitting? The articles' advice, one piece at a time, on 2,000 reviews of IMDB.

    python -m bigmodel_jax.ablate --config=configs/imdb_small.py:tune
    python -m bigmodel_jax.ablate --config=configs/imdb_small.py --seeds=5

A convolutional network (imdb.py:textcnn) without any of it is the baseline: 20 epochs, by which it knows
its reviews by heart. `tune` tries STRENGTHS of each piece and is judged by the last tenth of the training
part, at the end of the run; BEST of each are then judged by the test part, which is looked at once. Not yet
run to a result.

    labels=2000  of so many reviews
"""

from bigmodel_jax.config import parse_arg
from configs import imdb

STRENGTHS = {
    "L1": (1e-5, 1e-4),
    "L2": (1e-4, 1e-3),
    "weight decay": (0.1, 1.0),
    "dropout": (0.5, 0.8),
    "word dropout": (0.2, 0.4),
    "label smoothing": (0.1, 0.2),
}
BEST = {
    "L1": 1e-5,
    "L2": 1e-4,
    "weight decay": 0.1,
    "dropout": 0.5,
    "word dropout": 0.2,
    "label smoothing": 0.1,
}


def get_config(arg=None):
    arg = parse(arg)
    words = ["textcnn", f"seed={arg.seed}", *(["tiny"] if arg.tiny else ["strict"])]
    config = imdb.get_config(",".join(words))
    if not arg.tiny:
        config.data.splits.train = f"train[:{arg.labels}]"
    config.model.update(dropout=0.0, embed_dropout=0.0, word_dropout=0.0)
    config.optimizer = dict(name="adam", lr=1e-3)
    config.early_stopping = {}
    config.evals.val.every = "2 epochs"
    config.duration = "4 epochs" if arg.tiny else "20 epochs"
    if arg.tune:
        del config.evals.test
    return config


def get_ablations(arg=None):
    found = {"nothing": {}, "early stopping": {"early_stopping": EARLY}}
    for name, strengths in (STRENGTHS if parse(arg).tune else BEST).items():
        for strength in strengths if isinstance(strengths, tuple) else (strengths,):
            found[f"{name} {strength:g}"] = change(name, strength)
    if not parse(arg).tune:
        found["all but L1 and L2"] = {
            "early_stopping": EARLY,
            **{k: v for name in list(BEST)[2:] for k, v in change(name, BEST[name]).items()},
        }
    return found


EARLY = dict(metric="val/accuracy", mode="max", patience=0)


def change(name, strength):
    """The overrides of a piece of advice."""
    key = {
        "L1": "optimizer.l1",
        "L2": "optimizer.l2",
        "weight decay": "optimizer.weight_decay",
        "dropout": "model.dropout",
        "word dropout": "model.word_dropout",
        "label smoothing": "task.label_smoothing",
    }[name]
    return {key: strength}


def parse(arg):
    return parse_arg(arg, tune=False, tiny=False, seed=0, labels=2000)
