"""A small GPT, pretrained on the texts of IMDB's 25,000 training reviews without their labels.

    python -m bigmodel_jax.prepare imdb_reviews --from=aclImdb.tar.xz
    python -m bigmodel_jax.main --config=configs/imdb_lm.py
    python -m bigmodel_jax.main --config=configs/imdb_finetune.py:parent=imdb_lm
    python -m bigmodel_jax.generate --workdir=runs/imdb_lm --prompt="this film" --temperature=0.8

The decoder's way to what imdb_mlm.py does with an encoder, on the same reviews and tokens.

val loss 4.046 nats a token, 1.461 bits a byte: one seed, 78 minutes on 2 cores of an AMD EPYC (Zen 4)
that had much other work to do, 2026-11-28. Sizes and rates are first guesses.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import DEFAULTS, parse_arg
from configs import imdb_mlm


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    imdb_mlm.corpus(config, arg.tiny)
    config.model = dict(name="gpt", width=128, num_layers=4, num_heads=2, bias=False)
    config.model.update(positions="rope", norm="rms", qk_norm=True, dtype="bfloat16")
    config.model.update(mlp="swiglu", mlp_dim=344)
    config.task = dict(name="next_token")
    schedule = dict(name="linear", warmup="5%")
    config.optimizer = dict(name="adamw", lr=3e-3, weight_decay=0.1, clip=1.0, b2=0.98)
    config.optimizer.schedule = schedule
    config.duration = "4 epochs"
    if arg.tiny:
        imdb_mlm.shrink(config)
        config.model.mlp_dim = 32
    return config
