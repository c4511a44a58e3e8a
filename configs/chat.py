"""Instruction tuning: a language model of yours learns the answers of your conversations. No code.

    python -m bigmodel_jax.main --config=configs/chat.py --config.data.path=chats.jsonl \\
        --config.init_from.path=runs/imdb_lm
    python -m bigmodel_jax.generate --workdir=runs/chat --chat --prompt="Name three colours."

A line of chats.jsonl is {"messages": [{"role": "user", "content": "..."}, {"role": "assistant",
"content": "..."}]}; a role "system" may come first. Or columns of a CSV, TSV, JSONL or Parquet file:
--config.data.prompt_column=question --config.data.response_column=answer. Any run of a decoder can be
the start: imdb_lm.py, gpt2_pretrain.py, or this config. A LoRA run is merged first, which
python -m bigmodel_jax.merge does.

    how=full           all parameters
    how=lora           changes of low rank to the kernels of attention
    template=words     "User: " and "Assistant: " stand before what they say, in pieces that the model has
    template=tokens    special tokens do, <|user|> and <|assistant|>, which are added to the vocabulary
                       and learnt from nothing: for thousands of conversations

The loss is on the answers alone, with the token that ends them. A tenth of the conversations is held
out and chooses the epoch; DIR/train.jsonl and DIR/val.jsonl are cut as they are. `tiny` takes generated
conversations where no path is given. Rates are first guesses: not yet run to a result.
"""

from ml_collections import ConfigDict, config_dict

from bigmodel_jax.config import DEFAULTS, parse_arg
from bigmodel_jax.errors import UserError, nearest

HOW = ("full", "lora")
ROLES = ("system", "user", "assistant")
TEMPLATES = {
    "words": dict(system=("", "\n\n"), user=("User: ", "\n"), assistant=("Assistant: ", "\n")),
    "tokens": {role: (f"<|{role}|>", "") for role in ROLES},
}


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0, how="full", template="words")
    for key, known in (("how", HOW), ("template", TEMPLATES)):
        if (value := getattr(arg, key)) not in known:
            raise UserError(f"chat.py knows no {key}={value}.{nearest(value, known)}")
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="chat",
        path=config_dict.placeholder(str),
        messages_column="messages",
        prompt_column=config_dict.placeholder(str),
        response_column=config_dict.placeholder(str),
        template=TEMPLATES[arg.template],
        splits=dict(train="train[:90%]", val="train[90%:]"),
        tokenizer=dict(name="pretrained"),
        length=32 if arg.tiny else 256,
        batch_size=8,
    )
    config.model = dict(name="pretrained", head="lm", dropout=0.1)
    config.task = dict(name="next_token", chunk=0 if arg.tiny else 64)
    config.optimizer = dict(name="adamw", lr=3e-4, weight_decay=0.01, clip=1.0, b2=0.98)
    config.optimizer.schedule = dict(name="cosine", warmup="5%", end=0.1)
    config.duration = "3 epochs"
    config.evals = dict(val=dict(name="language", split="val", every="1 epochs"))
    config.early_stopping = dict(metric="val/loss", mode="min", patience=0)
    if arg.how == "lora":
        config.task = dict(name="lora", task=config.task, rank=8, alpha=16.0)
        config.optimizer.update(train=("lora/.*",), lr=3e-3)
    if arg.template == "tokens":
        config.data.tokenizer.added = tuple(f"<|{role}|>" for role in ROLES)
        config.init_from.resize = ("(embed/embedding|head/kernel)",)
        if arg.how == "lora":  # or the new tokens would stay what they were drawn as
            config.optimizer.train = ("lora/.*", "(embed|head)/.*")
    if arg.tiny:
        config.data.reader = dict(name="synthetic_chats", train_size=320, test_size=96)
        config.optimizer.lr = 1e-2
    return config
