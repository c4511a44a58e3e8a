"""Extractive question answering, on files laid out as SQuAD 1.1 or 2.0 are. No code.

    python -m bigmodel_jax.main --config=configs/squad.py --config.data.path=DIR
    python -m bigmodel_jax.main --config=configs/squad.py:how=full --config.data.path=DIR \\
        --config.init_from.path=runs/imdb_mlm
    python -m bigmodel_jax.predict --workdir=runs/squad --text="Who wrote it?" --pair_text="..."

DIR holds train-v1.1.json and dev-v1.1.json, or v2.0 of both; files of other names, or one version of
several: --config.data.files.train=NAME --config.data.files.dev=NAME. Lines of .jsonl are read, too
(data/questions.py). Where there is no test file the dev file is the test, as for SQuAD, whose own test
nobody has; a twentieth of train chooses the epoch. Questions without an answer are learnt where the
training part has any.

    how=scratch  a small encoder and a tokenizer of its own, from nothing
    how=full     a run's model and tokenizer: all parameters, the lower layers more slowly
    how=head     the classifier of a span's ends alone
    how=lora     the classifier, and changes of low rank to the kernels of attention

A run to start from is of an encoder (imdb_mlm.py), or of a decoder (imdb_lm.py), which sees only what
stands before a word, and cannot tell that there is no answer. `tiny` takes generated paragraphs where no
path is given. SQuAD itself: not yet run.

On generated paragraphs in SQuAD's layout (data/readers/synthetic_facts.py; 18,000 questions, one seed)

    python -c "from bigmodel_jax.data.readers import synthetic_facts as facts; facts.write('facts')"
    python -m bigmodel_jax.main --config=configs/squad.py --config.data.path=facts

prints test/exact 0.9993 (95% interval 0.9980 to 1.0000) and test/f1 0.9994 of 1,500 questions about other
paragraphs, and with write('facts', unanswerable=0.3) test/exact 0.9040 (0.8880 to 0.9180): 6 minutes each
on 2 cores of an AMD EPYC that had other work to do, 2026-11-28.
"""

from ml_collections import ConfigDict, config_dict

from bigmodel_jax.config import DEFAULTS, parse_arg
from configs import finetune_text


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0, how="scratch")
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="answers",
        path=config_dict.placeholder(str),
        files={split: config_dict.placeholder(str) for split in ("train", "dev", "test")},
        splits=dict(train="train[:95%]", val="train[95%:]", test="test"),
        max_length=64 if arg.tiny else 384,
        stride=32 if arg.tiny else 128,
        max_question=24 if arg.tiny else 64,
        batch_size=16 if arg.tiny else 32,
    )
    config.task = dict(name="span_answering", max_answer=30, null_threshold=0.0)
    config.optimizer = dict(name="adamw", lr=3e-4, weight_decay=0.01, clip=1.0, b2=0.98)
    config.optimizer.schedule = dict(name="linear", warmup="10%")
    config.duration = "3 epochs"
    config.evals = dict(
        val=dict(name="spans", split="val", every="1 epochs"),
        test=dict(name="spans", split="test", every="end"),
    )
    config.early_stopping = dict(metric="val/f1", mode="max", patience=0)
    if arg.how == "scratch":
        scratch(config)
    else:
        finetune_text.start(config, arg.how, dict(head="span", dropout=0.1))
    if arg.tiny:
        config.data.reader = dict(name="synthetic_facts", train_size=96, test_size=32)
        config.data.reader.unanswerable = 0.2
        if arg.how == "scratch":
            config.data.tokenizer.vocabulary_size = 300
            config.model.update(width=16, num_layers=2, num_heads=4)
            config.model.vocabulary_size = 304  # more than it has: eight devices divide it
    return config


def scratch(config):
    """A small encoder of pieces of words, capitals kept."""
    config.data.tokenizer = dict(name="raw", kind="wordpiece", vocabulary_size=8_000)
    config.model = dict(name="bert", head="span", width=128, num_layers=2, num_heads=4)
    config.model.update(norm_first=True, positions="rope", dropout=0.1, dtype="bfloat16")
    config.optimizer.lr = 1e-3
    config.duration = "4 epochs"
