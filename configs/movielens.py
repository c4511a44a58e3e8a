"""Recommends films: MovieLens-100k, by the ratings of others.

python -m bigmodel_jax.prepare movielens_100k --from=ml-100k.zip
python -m bigmodel_jax.main --config=configs/movielens.py:svdpp,fold=1
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    variants = ("svdpp", "ncf", "sequence")
    arg = parse_arg(arg, variants, tiny=False, seed=0, fold=1, val=False)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="ratings",
        reader=dict(name="tfds_ratings", dataset="movielens_100k", fold=arg.fold),
        splits=dict(train="base[:90%]", val="base[90%:]") if arg.val else dict(train="base"),
        batch_size=64,
    )
    config.data.splits.test = "test"
    split, every = ("val", "10 epochs") if arg.val else ("test", "end")
    config.evals = {f"{split}_ranking": dict(name="ranking", split=split, every=every)}
    if arg.variant == "svdpp":
        config.model = dict(name="factors", rank=20, implicit=True)
        config.task = dict(name="recommend")
        config.optimizer = dict(name="adam", lr=1e-2, l2=5e-4, decayed=(".*",))
        config.optimizer.schedule = dict(name="cosine")
        config.duration = "40 epochs"
        config.evals[split] = dict(name="ratings", split=split, every=every)
    elif arg.variant == "ncf":
        config.data.update(length=32, batch_size=128)
        config.model = dict(name="ncf", rank=8, hidden=(32, 16, 8))
        config.task = dict(name="recommend", loss="binary", negatives=4)
        config.optimizer = dict(name="adam", lr=5e-3)
        config.duration = "20 epochs"
    else:
        config.model = dict(
            name="gpt", width=64, num_layers=2, num_heads=2, max_length=200, dropout=0.3
        )
        config.task = dict(name="next_item", length=200)
        config.optimizer = dict(name="adamw", lr=2e-3, weight_decay=0.1)
        config.duration = "60 epochs"
    config.log_every = "75 steps"
    if arg.tiny:
        config.data.reader = dict(name="synthetic_ratings", users=63, items=39, each=20, fold=1)
        config.data.batch_size, config.log_every = 16, "10 steps"
        if arg.variant == "ncf":
            config.data.length = 8
        config.duration = "5 epochs"
    return config
