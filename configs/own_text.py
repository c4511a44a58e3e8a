"""A classifier of your own texts: a CSV, TSV, JSONL or text file, or a folder. No code is written.

    python -m bigmodel_jax.main --config=configs/own_text.py --config.data.path=reviews.csv
    python -m bigmodel_jax.predict --workdir=runs/own_text --text="..."

What `path` may name:

    reviews.csv  reviews.tsv             a header with the columns "text" and "label"
    reviews.jsonl                        an object a line, {"text": "...", "label": "..."}
    reviews.txt                          a label, a tab and the text, a line each
    DIR/train.csv  DIR/test.csv          one of the above for each split
    DIR/train/CLASS/*  DIR/test/CLASS/*  a file for each text, in a folder for each label
    DIR/CLASS/*                          the same without splits

Columns of other names: --config.data.text_column=review --config.data.label_column=stars. What is
not UTF-8, misses a column or has a label only in test is refused, with the file and the line.

A tenth of train is held out to choose the epoch by, or DIR/val.* where there is one; data without a
test split is cut 80/10/10. `own_text.py` scores words and pairs of words, which is quick and good
from some twenty texts on; `own_text.py:lstm` reads the words in order, and wants thousands. Either
stops when the held-out loss has not fallen for three epochs. Another data set needs another --workdir.

Of 20,000 reviews of films (16,000 to train on), `own_text.py` labels 90.5% of the held-out 2,000
right, after half a minute on two CPU cores.
"""

from ml_collections import ConfigDict, config_dict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, ("bag", "lstm"), tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="text",
        path=config_dict.placeholder(str),
        text_column="text",
        label_column="label",
        reader=dict(name="files"),
        splits=dict(train="train[:90%]", val="train[90%:]", test="test"),
        batch_size=16,
    )
    if arg.variant == "bag":
        config.data.tokenizer = dict(name="ngrams", n=2, buckets=2**10 if arg.tiny else 2**18)
        config.data.max_length = 1024
        config.model = dict(name="bag", naive_bayes=True, pooling="sqrt", scale=0.1, dropout=0.5)
        config.task = dict(name="nb_classify")
        config.optimizer = dict(name="adam", lr=1e-2)
    else:
        config.data.tokenizer = dict(name="words", vocabulary_size=10_000)
        config.data.max_length, config.data.batch_size = 256, 32
        config.model = dict(name="lstm", dropout=0.3)
        config.task = dict(name="classify")
        config.optimizer = dict(name="adam", lr=2e-3, clip=1.0)
        if arg.tiny:
            config.data.tokenizer.vocabulary_size = 200
            config.model.width, config.model.hidden = 16, 8
    if arg.tiny:
        config.data.max_length = 64
    config.duration = "2 epochs" if arg.tiny else "20 epochs"
    config.evals = dict(
        val=dict(name="classification", split="val", every="1 epochs"),
        test=dict(name="classification", split="test", every="end"),
    )
    config.early_stopping = dict(metric="val/loss", mode="min", patience=3)
    return config
