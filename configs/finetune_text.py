"""Fine-tunes any of your runs on labelled texts of your own. No code.

    python -m bigmodel_jax.main --config=configs/finetune_text.py --config.data.path=reviews.csv \\
        --config.init_from.path=runs/imdb_mlm
    python -m bigmodel_jax.predict --workdir=runs/finetune_text --text="..."

`path`, its columns (--config.data.text_column, label_column, pair_column) and `target` are those of
own_text.py. The model and the tokenizer are those of the run at init_from.path: a language model
(imdb_mlm.py, imdb_lm.py, gpt2_pretrain.py, ...), or a classifier, whose classes may be others than
yours (imdb_finetune.py, this config, own_text.py and imdb.py, but for their bag). A LoRA run is merged
first, which python -m bigmodel_jax.merge does.

    how=full       all parameters, the lower layers more slowly
    how=head       the classifier alone
    how=lora       the classifier, and changes of low rank to the kernels of attention
    how=scratch    the same model from random parameters, for comparison
    target=labels  any number of labels a text; =number, a number to be estimated

A run of an LSTM or a textcnn has no layers to slow down, nor any attention: how=full then needs
--config.optimizer.layer_decay=1, and lora is not for it. Training stops when the held-out loss has not
fallen for two epochs. `tiny` takes generated reviews where no path is given. Rates are first guesses: not
yet run to a result.
"""

from ml_collections import ConfigDict

from bigmodel_jax.config import parse_arg
from bigmodel_jax.errors import UserError, nearest
from configs import imdb_finetune, own_text

HEAD = "(classifier|head|pool|pooler)/.*"


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0, how="full", target="class")
    config = own_text.texts(arg.target, arg.seed)
    config.data.update(max_length=32 if arg.tiny else 256, batch_size=16, keep="both")
    if arg.tiny:
        config.data.reader = dict(name="synthetic_reviews", train_size=320, test_size=96)
    lr = 5e-3 if arg.tiny else 5e-4
    config.optimizer = dict(name="adamw", lr=lr, weight_decay=0.01, clip=1.0, b2=0.98)
    config.optimizer.schedule = dict(name="linear", warmup="10%")
    config.duration = "2 epochs" if arg.tiny else "10 epochs"
    config.early_stopping = dict(metric="val/loss", mode="min", patience=2)
    start(config, arg.how, dict(head="classify", dropout=0.1))
    return config


def start(config: ConfigDict, how: str, model: dict):
    """Leaves the model and the tokenizer to the run at init_from.path, and says what moves.

    Args:
        model: fields in place of the run's, its head above all.
    """
    if how not in imdb_finetune.HOW:
        raise UserError(f"The config knows no how={how}.{nearest(how, imdb_finetune.HOW)}")
    config.data.tokenizer = dict(name="pretrained")
    config.model = dict(name="pretrained", **model)
    task = config.task
    imdb_finetune.adapt(config, how)
    if how == "head":
        config.optimizer.train = (HEAD,)
    elif how == "lora":
        config.optimizer.train = ("lora/.*", HEAD)
        config.task.task = task
