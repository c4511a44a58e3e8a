"""Times whole training steps of our GPT against PyTorch's, side by side.

    python benchmarks/gpt.py                     # all that suit a CPU; needs the extra [parity]
    python benchmarks/gpt.py --model=shakespeare-cpu

    shakespeare-cpu   4 layers of 4 heads, 128 wide, context 64, batch 12: configs/gpt_shakespeare.py:cpu
    shakespeare-gpu   6 layers of 6 heads, 384 wide, context 256, batch 8 (of 64, to be done in time)

A step is forward, backward, clipping and AdamW on random characters of 65. How they are timed, and
what the settings mean: benchmarks/contest.py.
"""

import argparse
from typing import Any

import contest
import numpy as np

MODELS: dict[str, dict[str, Any]] = {
    "shakespeare-cpu": {
        "width": 128,
        "num_layers": 4,
        "num_heads": 4,
        "length": 64,
        "batch": 12,
        "steps": 20,
    },
    "shakespeare-gpu": {
        "width": 384,
        "num_layers": 6,
        "num_heads": 6,
        "length": 256,
        "batch": 8,
        "steps": 2,
    },
}
VOCABULARY, LR, BETAS, WEIGHT_DECAY, CLIP = 65, 1e-3, (0.9, 0.99), 0.1, 1.0


class Ours:
    """Our model, task, optimizer and step, as a run composes them."""

    def __init__(self, sizes, tokens, precision):
        import jax

        from bigmodel_jax import config, optim, sharding, steps
        from bigmodel_jax.durations import Clock

        fields = {k: sizes[k] for k in ("width", "num_layers", "num_heads")}
        fields |= {
            "max_length": sizes["length"],
            "vocabulary_size": VOCABULARY,
            "bias": False,
            "mlp": "gelu",
        }
        model = config.build("models", {"name": "gpt", **fields, "dtype": precision})
        task = config.build("tasks", {"name": "next_token"}, model=model)
        ones = np.ones_like(tokens[:, :-1])
        order = np.broadcast_to(np.arange(ones.shape[1], dtype=np.int32), ones.shape)
        self.batch = {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "segments": ones}
        self.batch |= {"positions": order, "mask": ones > 0}
        self.mesh = sharding.make_mesh({"data": 1}, jax.devices()[:1])
        with sharding.use(self.mesh):
            init = jax.jit(lambda: sharding.unbox(task.init(jax.random.key(0), self.batch)))
            variables = init()
            spec = {"name": "adamw", "lr": LR, "b1": BETAS[0], "b2": BETAS[1], "clip": CLIP}
            spec["weight_decay"] = WEIGHT_DECAY
            optimizer = optim.build(spec, Clock(100, 1, 100), variables["params"])
            step = steps.counted(task.step(optimizer))
            self.state = steps.create_state(step, variables)
            self.update = jax.jit(step.update, donate_argnums=0)
            self.batch = jax.device_put(self.batch)
            self.parameters = sum(x.size for x in jax.tree.leaves(variables["params"]))
            self.key = jax.random.key(1)

    def run(self, count: int) -> float:
        """The loss of the last of `count` steps."""
        from bigmodel_jax import sharding

        with sharding.use(self.mesh):
            for _ in range(count):
                self.state, row = self.update(self.state, self.batch, self.key)
        return float(row["loss"].total / row["loss"].weight)


def make(model: str, contestant: str, precision: str):
    """A contestant in this process, on the same random batch as all others."""
    sizes = MODELS[model]
    shape = (sizes["batch"], sizes["length"] + 1)
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, shape).astype(np.int32)
    if contestant == contest.OURS:
        return Ours(sizes, tokens, precision)
    from gpt_torch import Contestant

    settings = {"lr": LR, "betas": BETAS, "weight_decay": WEIGHT_DECAY, "clip": CLIP}
    return Contestant(
        VOCABULARY, sizes, tokens, precision, contestant == "torch.compile", **settings
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    contest.main(parser, __file__, MODELS, make, lambda model: MODELS[model]["steps"])


if __name__ == "__main__":
    main()
