"""GPT-2 124M (Radford et al. 2019) on a corpus of your own, by nanoGPT's recipe.

    python -m bigmodel_jax.main --config=configs/gpt2_pretrain.py --config.data.path=corpus/

or, for a large corpus, tokenised before by several processes:

    python -m bigmodel_jax.tokenize --input=corpus/ --output=tokens --vocabulary_size=50257
    python -m bigmodel_jax.main --config=configs/gpt2_pretrain.py:tokens --config.data.path=tokens
    python -m bigmodel_jax.generate --workdir=runs/gpt2_pretrain-tokens --prompt="The"

    text        `path` is text: files, a folder, a pattern, as docs/language.md has it; a byte-level BPE of
                50,257 pieces is trained on it
    published   the same, with --config.data.tokenizer.path=gpt2/tokenizer.json
    tokens      `path` is what the command tokenize made

12 layers, 12 heads, 768 wide, context 1,024, no biases, no dropout; batches of 480 rows (491,520 tokens),
AdamW to 6e-4 in 2,000 steps, then half a cosine to 6e-5 at step 600,000. The vocabulary is padded to
50,304, which 128 divides, for speed; what the tokenizer lacks is never written. A row goes through the
devices in `accumulate` micro-batches, whose number times the number of devices divides 480: 40 on one,
--config.optimizer.accumulate=5 on eight. The last hundredth of the corpus, or its files named val,
validates every 2,000 steps. Not yet run: it needs a GPU. `tiny` takes seconds on two cores, on generated
reviews where no path is given.
"""

from ml_collections import ConfigDict, config_dict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, ("text", "published", "tokens"), tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="tokens",
        path=config_dict.placeholder(str),
        text_column=config_dict.placeholder(str),
        splits=dict(train="train[:99%]", val="train[99%:]"),
        length=1024,
        batch_size=480,
    )
    if arg.variant == "text":
        config.data.tokenizer = dict(name="raw", kind="bpe", vocabulary_size=50_257)
    elif arg.variant == "published":
        config.data.tokenizer = dict(name="raw", path="")
    config.model = dict(name="gpt", width=768, num_layers=12, num_heads=12, bias=False, mlp="gelu")
    config.model.update(vocabulary_size=50_304, dtype="bfloat16")
    config.task = dict(name="next_token", chunk=128)
    config.optimizer = dict(name="adamw", lr=6e-4, b1=0.9, b2=0.95, weight_decay=0.1, clip=1.0)
    config.optimizer.schedule = dict(name="cosine", warmup="2000 steps", end=0.1)
    config.optimizer.accumulate = 40
    config.duration = "600000 steps"
    config.log_every = "10 steps"
    config.evals = dict(val=dict(name="language", split="val", every="2000 steps", batch_size=16))
    if arg.tiny:
        shrink(config)
    return config


def shrink(config):
    """A model that trains in seconds, on generated text."""
    config.data.reader = dict(name="synthetic_reviews", train_size=320, test_size=96)
    config.data.update(length=32, batch_size=16)
    if "tokenizer" in config.data and "kind" in config.data.tokenizer:
        config.data.tokenizer.vocabulary_size = 300
    config.model.update(width=16, num_layers=2, num_heads=4, vocabulary_size=384)
    config.task.chunk = 8
    config.optimizer.update(accumulate=2, lr=1e-2)
    config.optimizer.schedule.warmup = "10 steps"
    config.duration = "100 steps"
    config.evals.val.every = "50 steps"
