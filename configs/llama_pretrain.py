"""Llama 3.1 8B (Dubey et al. 2024) from random parameters, on a pod: its size, and its paper's recipe.

    python -m bigmodel_jax.tokenize --input=corpus/ --output=tokens --vocabulary_size=128256
    python -m bigmodel_jax.plan --config=configs/llama_pretrain.py --topology=v5p:4x4x4
    python -m bigmodel_jax.main --config=configs/llama_pretrain.py --config.data.path=tokens

Batches of 512 rows of 8,192 tokens, AdamW to 3e-4 in 8,000 steps, then a cosine to 3e-5. Parameters,
gradients and moments are split over all devices, and blocks are computed again in the backward pass.
docs/plan.md has what it comes to on two pods. Not yet run; `tiny` takes seconds, on generated reviews.
"""

from bigmodel_jax.config import parse_arg
from configs import gpt2_pretrain


def get_config(arg=None):
    arg = parse_arg(arg, tiny=False, seed=0)
    config = gpt2_pretrain.get_config(f"tokens,seed={arg.seed}{',tiny' * arg.tiny}")
    config.mesh = dict(data=1, fsdp=-1)
    config.model = dict(
        name="gpt",
        vocabulary_size=128_256,
        width=4096,
        num_layers=32,
        num_heads=32,
        num_groups=8,
        head_dim=128,
        mlp="swiglu",
        mlp_dim=14_336,
        norm="rms",
        bias=False,
        positions="rope",
        rope_theta=500_000.0,
        tied=False,
        scan=True,
        remat="full",
        dtype="bfloat16",
    )
    if arg.tiny:
        config.model.update(vocabulary_size=384, width=16, num_layers=2, num_heads=4, num_groups=2)
        config.model.update(head_dim=8, mlp_dim=32)
        return config
    config.task.chunk = 1024
    config.data.update(length=8192, batch_size=512)
    config.optimizer.update(lr=3e-4, accumulate=1)
    config.optimizer.schedule.warmup = "8000 steps"
    config.duration = "300000 steps"
    return config
