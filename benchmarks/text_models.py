"""Times whole training steps of our text models against PyTorch's, side by side.

    python benchmarks/text_models.py                     # all; needs the extra [parity]
    python benchmarks/text_models.py --model=textcnn

    lstm         10,000 words in 256 dimensions, an LSTM of 128 read at its end
    bilstm       25,000 in 100, an LSTM of 256 in both directions, the maximum over time
    textcnn      25,000 in 128, 128 features of windows of 3, 4 and 5, dropout 0.5
    transformer  25,000 in 128, 4 pre-norm layers of 4 heads, the mean over time

A step is forward, backward and Adam on a batch of 32 texts of 256 tokens, to two classes. How they are
timed, and what the settings mean: benchmarks/contest.py. Below each table stand both sides'
parameters and losses after 5 steps, by which to see that they do the same work.
"""

import argparse
from typing import Any

import contest
import numpy as np

BATCH, LENGTH = 32, 256
# Our config.model; the same in PyTorch; steps a turn.
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "lstm": (
        {"name": "lstm", "vocabulary_size": 10_000, "width": 256, "hidden": 128},
        {"vocabulary": 10_000, "width": 256, "hidden": 128},
        5,
    ),
    "bilstm": (
        {
            "name": "lstm",
            "vocabulary_size": 25_000,
            "width": 100,
            "hidden": 256,
            "bidirectional": True,
            "pooling": "max",
        },
        {"vocabulary": 25_000, "width": 100, "hidden": 256, "bidirectional": True},
        2,
    ),
    "textcnn": (
        {
            "name": "textcnn",
            "vocabulary_size": 25_000,
            "width": 128,
            "features": 128,
            "sizes": (3, 4, 5),
            "dropout": 0.5,
        },
        {"vocabulary": 25_000, "width": 128, "features": 128, "sizes": (3, 4, 5), "dropout": 0.5},
        5,
    ),
    "transformer": (
        {
            "name": "transformer",
            "vocabulary_size": 25_000,
            "width": 128,
            "num_layers": 4,
            "num_heads": 4,
        },
        {"vocabulary": 25_000, "width": 128, "num_layers": 4, "num_heads": 4, "length": LENGTH},
        2,
    ),
}


class Ours:
    """Our model under optax's Adam in one donated update."""

    def __init__(self, fields, tokens, labels, precision):
        import functools

        import flax.linen as nn
        import jax
        import jax.numpy as jnp
        import optax

        from bigmodel_jax import config

        dtype = jnp.dtype(precision)
        model = config.build("models", {**fields, "num_classes": 2, "dtype": dtype})
        optimizer = optax.adam(1e-3)
        mask = np.ones(tokens.shape, bool)

        def loss_of(params, key, tokens, mask, labels):
            rngs = {"dropout": key}
            logits: Any = model.apply(params, tokens, mask, train=True, rngs=rngs)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        @functools.partial(jax.jit, donate_argnums=0)
        def update(state, *batch):  # an argument, as in a run: a constant mask would vanish
            params, slots, step = state
            key = jax.random.fold_in(jax.random.key(2), step)
            loss, gradient = jax.value_and_grad(loss_of)(params, key, *batch)
            updates, slots = optimizer.update(gradient, slots)
            return (optax.apply_updates(params, updates), slots, step + 1), loss

        self.batch = jax.device_put((tokens, mask, labels))
        params: Any = nn.unbox(model.init(jax.random.key(1), *self.batch[:2]))
        self.parameters = sum(x.size for x in jax.tree.leaves(params))
        self.state, self.update = (params, optimizer.init(params), jnp.zeros((), jnp.int32)), update

    def run(self, steps: int) -> float:
        """The loss of the last of `steps` steps."""
        for _ in range(steps):
            self.state, self.loss = self.update(self.state, *self.batch)
        return float(self.loss)


def make(model: str, contestant: str, precision: str):
    """A contestant in this process, on the same random batch as all others."""
    rng = np.random.default_rng(0)
    ours, theirs, _ = MODELS[model]
    tokens = rng.integers(0, ours["vocabulary_size"], (BATCH, LENGTH))
    labels = np.arange(BATCH) % 2
    if contestant == contest.OURS:
        return Ours(ours, tokens.astype(np.int32), labels, precision)
    from text_models_torch import Contestant

    compiled = contestant == "torch.compile"
    return Contestant(model, theirs, tokens, labels, precision, compiled)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    contest.main(parser, __file__, MODELS, make, lambda model: MODELS[model][2])


if __name__ == "__main__":
    main()
