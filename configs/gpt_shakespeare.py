"""A character-level GPT on Shakespeare: nanoGPT's two recipes, and a better one of the same cost.

    python -m bigmodel_jax.prepare tinyshakespeare --from=tinyshakespeare.txt
    python -m bigmodel_jax.main --config=configs/gpt_shakespeare.py:cpu
    python -m bigmodel_jax.generate --workdir=runs/gpt_shakespeare-cpu --prompt="ROMEO:" --max_tokens=200

    cpu   4 layers of 4 heads, 128 wide, context 64, batch 12, 2,000 steps (nanoGPT prints 1.88):
          val loss (cpu) 1.9008 +- 0.0026 over 3 seeds, 1.0 to 1.2 minutes a seed
    best  as many parameters and tokens, another network and step size:
          val loss (best) 1.6605 +- 0.0039 over 3 seeds, 1.2 to 1.4 minutes a seed
    gpu   6 layers of 6 heads, 384 wide, context 256, batch 64, 5,000 steps, dropout 0.2 (1.4697):
          not yet run, for it needs a GPU

The loss is in nats a character, over the whole validation text in windows of the context; mean and
standard deviation, on 2 cores of an AMD EPYC (Zen 4), 2026-11-28. nanoGPT's is an estimate from 20
batches; the same recipe in PyTorch reaches 1.9106 +- 0.0050 on the whole text
(benchmarks/shakespeare_torch.py). What makes best better was chosen on the last tenth of the training
text; cpu is as it is.
`--config.data.path=FILE` trains on a text of your own, whose last tenth validates.
"""

from ml_collections import ConfigDict, config_dict

from bigmodel_jax.config import DEFAULTS, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, ("cpu", "best", "gpu"), tiny=False, seed=0)
    config = ConfigDict(DEFAULTS)
    config.seed = arg.seed
    config.data = dict(
        name="tokens",
        path=config_dict.placeholder(str),
        dataset=config_dict.placeholder(str),
        tokenizer=dict(name="characters"),
        splits=dict(train="train[:90%]", val="train[90%:]"),  # of a file; prepared, by its own
    )
    config.data.dataset = "tinyshakespeare"
    config.task = dict(name="next_token")
    config.evals = dict(val=dict(name="language", split="val", every="end"))
    RECIPES[arg.variant](config)
    if arg.tiny:  # on generated text, so that it runs anywhere
        config.data.reader = dict(name="synthetic_reviews", train_size=320, test_size=96)
        config.data.update(dataset=None, length=16, batch_size=8)
        config.model.update(width=16, num_layers=2, num_heads=4)
        config.model.vocabulary_size = 64  # more than it has: eight devices divide it
        config.duration = "20 steps"
    return config


def cpu(config):
    """nanoGPT's recipe for a laptop."""
    config.data.update(length=64, batch_size=12, resident=True)
    config.repeat = 10
    config.model = dict(name="gpt", width=128, num_layers=4, num_heads=4, bias=False, mlp="gelu")
    config.model.dtype = "bfloat16"
    schedule = dict(name="cosine", warmup="5%", end=0.1)
    config.optimizer = dict(name="adamw", lr=1e-3, b2=0.99, weight_decay=0.1, clip=1.0)
    config.optimizer.schedule = schedule
    config.duration = "2000 steps"


def best(config):
    """Rotary positions, normalised queries and keys, a gated MLP, and three times the step size."""
    cpu(config)
    config.model.update(positions="rope", norm="rms", qk_norm=True, mlp="swiglu", mlp_dim=344)
    config.optimizer.lr = 3e-3


def gpu(config):
    """nanoGPT's recipe for one GPU."""
    cpu(config)
    config.data.update(length=256, batch_size=64)
    config.model.update(width=384, num_layers=6, num_heads=6, dropout=0.2)
    config.optimizer.schedule.warmup = "2%"
    config.evals.val.every = "250 steps"
    config.early_stopping = dict(metric="val/loss", mode="min", patience=0)
    config.duration = "5000 steps"


RECIPES = {"cpu": cpu, "best": best, "gpu": gpu}
