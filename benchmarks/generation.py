"""Times writing with and without a cache, for one text and for 32.

    python benchmarks/generation.py                # the shape of configs/gpt_shakespeare.py:gpu
    python benchmarks/generation.py --context=1024

A model of 6 layers, 384 wide, with random parameters writes from prompts of 8 tokens until the context
is full. "Without a cache" computes the whole text anew for each token, in one compiled program of the
context's length. Both take turns; figures are medians over the rounds, in tokens a second.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.generation.decoder import Decoder
from bigmodel_jax.generation.sampling import Sampling
from bigmodel_jax.models.gpt import VARIANTS, Model

PROMPT = 8
WITHOUT = 8  # tokens that are timed without a cache: each takes as long as the last


def rates(model, variables, mesh, rows: int) -> tuple[float, float]:
    """(with a cache, without), in tokens a second of all rows together."""
    context = model.max_length
    prompts = np.random.default_rng(0).integers(0, model.vocabulary_size, (rows, PROMPT))
    decoder = Decoder(model, variables, mesh, Sampling(temperature=0))
    count = context - PROMPT

    def cached():
        return [list(row) for new in decoder.write(prompts.tolist(), count) for row in new]

    @jax.jit
    def next_ids(variables, tokens, place):
        hidden = model.apply(variables, tokens, None, method="hidden")
        return model.apply(variables, hidden[:, place], method="logits").argmax(-1)

    def uncached():
        tokens = jnp.zeros((rows, context), jnp.int32).at[:, :PROMPT].set(prompts)
        for place in range(PROMPT, PROMPT + WITHOUT):
            tokens = tokens.at[:, place].set(next_ids(variables, tokens, place - 1))
        return jax.block_until_ready(tokens)

    def seconds(action):
        start = time.perf_counter()
        action()
        return time.perf_counter() - start

    for action in (cached, uncached):  # compile
        action()
    return rows * count / seconds(cached), rows * WITHOUT / seconds(uncached)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    fields = {**VARIANTS["shakespeare"], "max_length": flags.context, "dtype": "bfloat16"}
    model = Model(vocabulary_size=65, **fields)
    mesh = sharding.make_mesh({"data": 1}, jax.devices()[:1])
    print(f"{'texts':>6}{'with cache':>12}{'without':>10}{'ratio':>7}   tokens a second")
    with sharding.use(mesh):
        tokens = jnp.zeros((1, PROMPT), jnp.int32)
        variables = sharding.unbox(jax.jit(model.init)(jax.random.key(0), tokens))
        for rows in (1, 32):
            found = [rates(model, variables, mesh, rows) for _ in range(flags.rounds)]
            fast, slow = (statistics.median(x) for x in zip(*found, strict=True))
            print(f"{rows:6}{fast:12,.0f}{slow:10,.0f}{fast / slow:7.1f}", flush=True)


if __name__ == "__main__":
    main()
