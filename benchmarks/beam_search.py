"""Times beam search by an encoder-decoder, ours against that of `transformers` on PyTorch.

    python benchmarks/beam_search.py               # needs the extra [parity]
    python benchmarks/beam_search.py --rows=1 --beams=1

T5 with random parameters of the shape of --variant, float32 on both sides, the same for both; sources of
20 tokens, answers of 32, none of which ends before. Both take turns; figures are medians over the
rounds, in tokens of answers a second.
"""

import argparse
import statistics
import time
from typing import Any

import jax
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.generation.seq2seq import Generator
from bigmodel_jax.models.t5 import VARIANTS, Model

SOURCE, TARGET = 20, 32


def ours(fields, sources, beams: int):
    model = Model(**fields)
    tokens = np.zeros((1, SOURCE), np.int32)
    variables = sharding.unbox(jax.jit(model.init)(jax.random.key(0), tokens, tokens))
    mesh = sharding.make_mesh({"data": 1}, jax.devices()[:1])
    generator = Generator(model, variables, mesh)
    if beams == 1:
        return lambda: generator.write(sources, TARGET)
    return lambda: generator.search(sources, TARGET, beams)


def theirs(fields, sources, beams: int):
    import torch
    import transformers

    settings: dict[str, Any] = {
        "vocab_size": fields["vocabulary_size"],
        "d_model": fields["width"],
        "d_kv": fields["head_dim"],
        "d_ff": fields["mlp_dim"],
        "num_layers": fields["num_layers"],
        "num_heads": fields["num_heads"],
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
        "decoder_start_token_id": 0,
    }
    config = transformers.T5Config(**settings)
    model: Any = transformers.T5ForConditionalGeneration(config).eval()
    inputs = torch.tensor(sources)
    # No answer may end: with random parameters one might, at any time.
    options: dict[str, Any] = {"num_beams": beams, "do_sample": False, "eos_token_id": None}
    options |= {"max_new_tokens": TARGET}
    model.generation_config.eos_token_id = None

    def run():
        with torch.no_grad():
            return model.generate(inputs, attention_mask=torch.ones_like(inputs), **options)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", default="flan-t5-small")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    fields: dict[str, Any] = VARIANTS[flags.variant]
    rng = np.random.default_rng(0)
    sources = rng.integers(2, fields["vocabulary_size"], (flags.rows, SOURCE)).tolist()
    contestants = [make(fields, sources, flags.beams) for make in (ours, theirs)]
    times: list[list[float]] = [[], []]
    for number in range(flags.rounds + 1):
        for run, found in zip(contestants, times, strict=True):
            start = time.perf_counter()
            run()
            if number:  # the first compiles
                found.append(time.perf_counter() - start)
    fast, slow = (flags.rows * TARGET / statistics.median(found) for found in times)
    print(f"{'rows':>5}{'beams':>6}{'ours':>8}{'transformers':>14}{'ratio':>7}   tokens a second")
    print(f"{flags.rows:5}{flags.beams:6}{fast:8,.0f}{slow:14,.0f}{fast / slow:7.2f}")


if __name__ == "__main__":
    main()
