"""Named entities, or any tags of words, of CoNLL files of your own. No code.

    python -m bigmodel_jax.main --config=configs/conll.py --config.data.path=DIR
    python -m bigmodel_jax.main --config=configs/conll.py:how=full --config.data.path=DIR \\
        --config.init_from.path=runs/imdb_mlm

DIR holds train.txt, valid.txt (or dev.txt) and test.txt, of any extension: a word and its tag a line, a
blank line between sentences, entities in IOB2 (B-PER I-PER O). One file is cut 80/10/10. Words and tags
are the first and the last of the columns; others: --config.data.token_column=1 --config.data.tag_column=3.

    how=scratch  a small encoder and a tokenizer of its own, from nothing
    how=full     a run's model and tokenizer: all parameters, the lower layers more slowly
    how=head     the classifier of tags alone
    how=lora     the classifier, and changes of low rank to the kernels of attention

A run to start from is of an encoder (imdb_mlm.py) or of a decoder (imdb_lm.py), which sees only what
stands before a word. Training stops when the held-out loss has not fallen for three epochs. `tiny` takes
generated sentences where no path is given. Sizes and rates are first guesses: not yet run to a result.
"""

from ml_collections import ConfigDict, config_dict

from bigmodel_jax.config import DEFAULTS, parse_arg
from configs import finetune_text


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0, how="scratch")
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="conll",
        path=config_dict.placeholder(str),
        token_column=0,
        tag_column=-1,
        splits=dict(train="train[:90%]", val="train[90%:]", test="test"),
        max_length=32 if arg.tiny else 128,
        batch_size=16,
    )
    config.task = dict(name="tag")
    config.optimizer = dict(name="adamw", lr=5e-4, weight_decay=0.01, clip=1.0, b2=0.98)
    config.optimizer.schedule = dict(name="linear", warmup="10%")
    config.duration = "20 epochs"
    config.evals = dict(
        val=dict(name="tagging", split="val", every="1 epochs"),
        test=dict(name="tagging", split="test", every="end"),
    )
    config.early_stopping = dict(metric="val/loss", mode="min", patience=3)
    if arg.how == "scratch":
        scratch(config)
    else:
        finetune_text.start(config, arg.how, dict(head="tag", dropout=0.1))
    if arg.tiny:
        config.data.reader = dict(name="synthetic_entities", train_size=320, test_size=96)
        config.duration = "4 epochs"
        if arg.how == "scratch":
            config.data.tokenizer.vocabulary_size = 300
            config.model.update(width=16, num_layers=2, num_heads=4)
            config.model.vocabulary_size = 304  # more than it has: eight devices divide it
    return config


def scratch(config):
    """A small encoder of pieces of words, capitals kept."""
    config.data.tokenizer = dict(name="raw", kind="wordpiece", vocabulary_size=8_000)
    config.model = dict(name="bert", head="tag", width=128, num_layers=3, num_heads=4, num_types=0)
    config.model.update(norm_first=True, positions="rope", dropout=0.2, word_dropout=0.1)
    config.model.dtype = "bfloat16"
    config.optimizer.lr = 2e-3
