"""Multiple choice on files of your own: which of several endings or answers is right. No code.

    python -m bigmodel_jax.main --config=configs/choice.py:layout=swag --config.data.path=DIR
    python -m bigmodel_jax.main --config=configs/choice.py:layout=swag,how=full --config.data.path=DIR \\
        --config.init_from.path=runs/imdb_mlm
    python -m bigmodel_jax.predict --workdir=runs/choice-layout=swag --file=stories.txt

DIR holds train.csv, val.csv and test.csv (or .tsv, .jsonl, .parquet), with labels; one file is cut
80/10/10. A line of stories.txt is a context and its choices, with a tab between any two.

    layout=own   columns context, choices (a list) and label, a number from 0 or a letter
    layout=swag  sent1, sent2 and ending0 to ending3, of which the last may be empty, and label
    layout=race  article, question, options (a list) and answer, a letter

Other names: --config.data.context_column, question_column, label_column, choice_columns="('a', 'b')".

    how=scratch  a small encoder and a tokenizer of its own, from nothing
    how=full     a run's model and tokenizer: all parameters, the lower layers more slowly
    how=head     the classifier that scores a choice alone
    how=lora     the classifier, and changes of low rank to the kernels of attention

SWAG's own test.csv has no labels, and has to leave DIR: a tenth of train is the test then. `tiny` takes
generated stories where no path is given. SWAG and RACE themselves: not yet run.

On generated stories in SWAG's layout (data/readers/synthetic_endings.py; 8,000 of two to four endings, one
seed)

    python -c "from bigmodel_jax.data.readers import synthetic_endings as endings; endings.write('endings')"
    python -m bigmodel_jax.main --config=configs/choice.py:layout=swag --config.data.path=endings

prints test/accuracy 1.0000 of 1,000 other stories: 7 minutes on 2 cores of an AMD EPYC that had other work
to do, 2026-11-28.
"""

from ml_collections import ConfigDict, config_dict

from bigmodel_jax.config import DEFAULTS, parse_arg
from bigmodel_jax.errors import UserError, nearest
from configs import finetune_text

LAYOUTS = {  # context, question, choices, label
    "own": ("context", None, ("choices",), "label"),
    "swag": ("sent1", "sent2", tuple(f"ending{i}" for i in range(4)), "label"),
    "race": ("article", "question", ("options",), "answer"),
}


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0, how="scratch", layout="own")
    if arg.layout not in LAYOUTS:
        raise UserError(f"choice.py knows no layout={arg.layout}.{nearest(arg.layout, LAYOUTS)}")
    context, question, choices, label = LAYOUTS[arg.layout]
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="choices",
        path=config_dict.placeholder(str),
        context_column=context,
        question_column=question or config_dict.placeholder(str),
        choice_columns=choices,
        label_column=label,
        splits=dict(train="train[:90%]", val="train[90%:]", test="test"),
        max_length=48 if arg.tiny else 256,
        batch_size=16,
    )
    config.task = dict(name="multiple_choice")
    config.optimizer = dict(name="adamw", lr=2e-4, weight_decay=0.01, clip=1.0, b2=0.98)
    config.optimizer.schedule = dict(name="linear", warmup="10%")
    config.duration = "3 epochs"
    config.evals = dict(
        val=dict(name="choices", split="val", every="1 epochs"),
        test=dict(name="choices", split="test", every="end"),
    )
    config.early_stopping = dict(metric="val/accuracy", mode="max", patience=0)
    if arg.how == "scratch":
        scratch(config)
    else:
        head = dict(head="classify", num_classes=1, dropout=0.1)
        finetune_text.start(config, arg.how, head)
    if arg.tiny:
        config.data.reader = dict(name="synthetic_endings", train_size=320, test_size=96)
        if arg.how == "scratch":
            config.data.tokenizer.vocabulary_size = 300
            config.model.update(width=16, num_layers=2, num_heads=4)
            config.model.vocabulary_size = 304  # more than it has: eight devices divide it
    return config


def scratch(config):
    """A small encoder of pieces of words, capitals kept."""
    config.data.tokenizer = dict(name="raw", kind="wordpiece", vocabulary_size=8_000)
    config.model = dict(name="bert", head="classify", num_classes=1, pooling="mean")
    config.model.update(width=128, num_layers=2, num_heads=4, norm_first=True, positions="rope")
    config.model.update(dropout=0.1, dtype="bfloat16")
    config.optimizer.lr = 1e-3
    config.duration = "6 epochs"
