"""A classifier of your own texts: a CSV, TSV, JSONL, Parquet or text file, or a folder. No code.

    python -m bigmodel_jax.main --config=configs/own_text.py --config.data.path=reviews.csv
    python -m bigmodel_jax.predict --workdir=runs/own_text --text="..." --explain

What `path` may name:

    reviews.csv  reviews.tsv             a header with the columns "text" and "label"
    reviews.jsonl  reviews.parquet       {"text": "...", "label": "..."}; the same columns
    reviews.txt                          a label, a tab and the text, a line each
    "DIR/*.csv"                          several of one of the above; also .gz and .zst
    DIR/train.csv  DIR/test.csv          one of the above for each split
    DIR/train/CLASS/*  DIR/test/CLASS/*  a file for each text, in a folder for each label
    DIR/CLASS/*                          the same without splits

Columns of other names: --config.data.text_column=review --config.data.label_column=stars; a second
text (entailment): --config.data.pair_column=hypothesis. What is not UTF-8, misses a column or has a
label only in test is refused, with the file and the line.

    own_text.py                   words and pairs of words: quick; runs on eight texts, wants hundreds
    own_text.py:textcnn           phrases; :lstm, :bilstm, :transformer read the words in order, and
                                  want thousands of texts
    own_text.py:target=labels     any number of labels a text, "red,round" in the label's column
    own_text.py:target=number     a number to be estimated
    own_text.py:tokenizer=bpe     subwords (also wordpiece, unigram) in place of words; =published with
                                  --config.data.tokenizer.path=tokenizer.json is one you have
    own_text.py:fold=2/5          trains on four fifths of train, and only validates, on the second
                                  fifth (a little kindly: the epoch is chosen by it, too)

Several go together: own_text.py:textcnn,tokenizer=bpe,fold=1/5. A tenth of train is held out to
choose the epoch by, or DIR/val.* where there is one; data without a test split is cut 80/10/10.
Training stops when the held-out loss has not fallen for three epochs. Another data set needs another
--workdir. Few examples of some classes: --config.data.balance=True draws each class equally often;
--config.task.class_weights=balanced (of labels: pos_weight) lets them weigh the same instead. More
than a hundred classes make the bag large and slow (up to 50 bytes for each class and each of the
2^20 --config.model.buckets): take textcnn. Of texts longer than --config.data.max_length words the
last are read; --config.data.keep=head reads the first, =both the ends.
Words with vectors of your own (GloVe's or word2vec's text format):
--config.data.word_vectors=glove.6B.100d.txt --config.model.width=100, with a model that embeds words.

What it answers right, in %, of texts that it did not see, measured once each on 2026-11-27, seed 0:

                                              learnt from  asked   bag  textcnn
    rt-polarity, sentences on films, 2 kinds        8,530  1,066  80.7     74.2
    TREC, questions of 6 kinds                      4,907    500  88.8     87.6
    waimai_10k, Chinese on meals, 2 kinds           9,590  1,199  88.4     88.1

by --config=configs/own_text.py (and :textcnn) --config.data.path=rt-polarity.txt, =trec (a folder of
train.txt and test.txt), and =waimai_10k.csv --config.data.text_column=review. With tokenizer=unigram
the Chinese fell to 87.2 and 85.7, with bpe to 86.7 (bag). On two CPU cores that had much other work
the bag took 0.5 to 1.3 minutes, textcnn 1.6 to 3.3, and 7.2 once, while memory had run out.
"""

from ml_collections import ConfigDict, config_dict

from bigmodel_jax.config import DEFAULTS, parse_arg
from bigmodel_jax.errors import UserError, nearest
from configs import imdb

# What each kind of target asks for: a task, an evaluator.
TARGETS = {
    "class": ("classify", "classification"),
    "labels": ("multilabel", "multilabel"),
    "number": ("regress", "regression"),
}
TOKENIZERS = ("words", "bpe", "wordpiece", "unigram", "published")


def get_config(arg=None):
    arg = parse_arg(
        arg,
        ("bag", "lstm", "bilstm", "textcnn", "transformer"),
        **dict(tiny=False, seed=0, target="class", tokenizer="words", fold=""),
    )
    if arg.tokenizer not in TOKENIZERS:
        raise UserError(
            f"own_text.py knows no {arg.tokenizer!r}.{nearest(arg.tokenizer, TOKENIZERS)}"
        )
    config = texts(arg.target, arg.seed)
    imdb.RECIPES[arg.variant](config, arg.tiny)
    if arg.variant == "bag":
        config.model.update(n=2, buckets=2**10 if arg.tiny else 2**20, ending=0)
        config.model.update(naive_bayes=arg.target == "class")
        config.task = dict(name="nb_classify", class_weights=config_dict.placeholder(str))
        config.optimizer = dict(name="adam", lr=0.03, eps=1e-4)
        config.data.update(max_length=64 if arg.tiny else 1024, buckets=(), batch_size=16)
    else:
        config.data.update(max_length=64 if arg.tiny else 256, buckets=(), batch_size=32)
    if arg.target != "class" or arg.variant != "bag":
        config.task = dict(name=TARGETS[arg.target][0])
        weights = {"class": "class_weights", "labels": "pos_weight"}.get(arg.target)
        if weights:
            config.task[weights] = config_dict.placeholder(str)
    if arg.tokenizer == "published":
        config.data.tokenizer = dict(name="published", path=config_dict.placeholder(str))
    elif arg.tokenizer != "words":
        size = 300 if arg.tiny else 16_000
        config.data.tokenizer = dict(name="subword", kind=arg.tokenizer, vocabulary_size=size)
    config.ema = 0.0
    config.duration = "2 epochs" if arg.tiny else "20 epochs"
    if arg.fold:
        parts = dict(train=f"train[not fold {arg.fold}]", val=f"train[fold {arg.fold}]")
        config.data.splits = parts
        del config.evals.test
    config.early_stopping = dict(metric="val/loss", mode="min", patience=3)
    return config


def texts(target, seed):
    """A config of the user's own texts, and of what judges them."""
    if target not in TARGETS:
        raise UserError(f"The config knows no target={target}.{nearest(target, TARGETS)}")
    config = ConfigDict(DEFAULTS)
    config.seed = seed
    config.data = dict(
        name="text",
        path=config_dict.placeholder(str),
        text_column="text",
        label_column="label",
        pair_column=config_dict.placeholder(str),
        target=target,
        label_separator=",",
        reader=dict(name="files"),
        splits=dict(train="train[:90%]", val="train[90%:]", test="test"),
        balance=False,
        keep="tail",
        word_vectors=config_dict.placeholder(str),
        transforms=(),
    )
    task, evaluator = TARGETS[target]
    config.task = dict(name=task)
    config.evals = dict(
        val=dict(name=evaluator, split="val", every="1 epochs"),
        test=dict(name=evaluator, split="test", every="end"),
    )
    return config
