"""Times the forward pass of BERT-base, 8 texts of 128 tokens, against transformers' on PyTorch.

    python benchmarks/bert.py                    # needs the extra [parity]

Both pool each text, under a mask in which all tokens are real, with the same parameters: theirs, made at
random, saved, and read as `hub import` reads them. How they are timed, and
what the settings mean: benchmarks/contest.py. "losses" are the mean square of the pooled texts.
"""

import argparse
import tempfile
from pathlib import Path

import contest
import numpy as np

BATCH, LENGTH, VOCABULARY = 8, 128, 30_522
MODELS = {"bert-base": {}}


def tokens() -> np.ndarray:
    """[BATCH, LENGTH] int32, the same in every process."""
    return np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, LENGTH)).astype(np.int32)


def published():
    """transformers' model, the same in every process."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    return BertModel(BertConfig()).eval()


class Ours:
    """Our model, with its parameters read from theirs."""

    def __init__(self, precision: str):
        import jax

        from bigmodel_jax import config, sharding
        from bigmodel_jax.hub import loading
        from bigmodel_jax.hub import published as reading

        with tempfile.TemporaryDirectory() as folder:
            published().save_pretrained(folder)
            found = reading.read(Path(folder))
            mesh = sharding.make_mesh({"data": 1}, jax.devices()[:1])
            with sharding.use(mesh):
                params = loading.load(found, reading.abstract(found.model, mesh))
        model = config.build("models", {**found.model, "dtype": precision})

        self.forward = jax.jit(lambda params, *given: model.apply({"params": params}, *given))
        self.given = jax.device_put((params, tokens(), np.ones((BATCH, LENGTH), bool)))
        self.parameters = sum(x.size for x in jax.tree.leaves(params))

    def run(self, count: int) -> float:
        """`count` passes; the mean square of the last one's pooled texts."""
        for _ in range(count):
            pooled = self.forward(*self.given).block_until_ready()
        return float((pooled.astype("float32") ** 2).mean())


class Theirs:
    """transformers' model in PyTorch."""

    def __init__(self, precision: str, compiled: bool):
        import torch

        self.torch = torch
        model = published()
        self.parameters = sum(p.numel() for p in model.parameters())
        self.model = torch.compile(model) if compiled else model
        self.precision = precision
        self.tokens = torch.tensor(tokens()).long()
        self.mask = torch.ones(BATCH, LENGTH, dtype=torch.long)

    def run(self, count: int) -> float:
        """`count` passes; the mean square of the last one's pooled texts."""
        torch, half = self.torch, self.precision == "bfloat16"
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            for _ in range(count):
                pooled = self.model(self.tokens, attention_mask=self.mask).pooler_output
        return float((pooled.float() ** 2).mean())


def make(model: str, contestant: str, precision: str):
    """A contestant in this process."""
    if contestant == contest.OURS:
        return Ours(precision)
    return Theirs(precision, contestant == "torch.compile")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    contest.main(parser, __file__, MODELS, make, lambda model: 2)


if __name__ == "__main__":
    main()
