"""Evaluates a language model: the loss over every token of a split, once; perplexity, bits a byte."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax

from bigmodel_jax import sharding
from bigmodel_jax.data.prefetch import Prefetch
from bigmodel_jax.metrics import Sums


class Evaluator:
    """The task's own loss and metrics over a whole split.

    "loss" is in nats a token, "perplexity" its exponential. "bits_per_byte" is of the UTF-8 text, so
    that models with different tokenizers can be compared; where every token of the split counts.

    Args:
        split: a name from config.data.splits.
        batch_size: of evaluation, raised to a multiple of the devices that share a batch; it
            changes no number.
    """

    def __init__(
        self,
        *,
        split: str,
        task: Any,
        open_source: Callable,
        mesh: jax.sharding.Mesh,
        batch_size: int = 64,
    ):
        self._split, self._mesh, self._open = split, mesh, open_source
        rows = mesh.shape["data"] * mesh.shape["fsdp"]
        self._batch_size = -(-batch_size // rows) * rows
        self._source: Any = None
        everywhere = jax.sharding.NamedSharding(mesh, jax.P())

        def measure(variables, batch):
            value, aux = task.loss(variables, batch, jax.random.key(0), train=False)
            return {"loss": value, **aux.metrics}

        self._measure = jax.jit(measure, out_shardings=everywhere)
        self.details: dict[str, Any] = {}

    @property
    def source(self):
        """Opened at first use: the test split of a run that never ends is never read."""
        if self._source is None:
            self._source = self._open(split=self._split, batch_size=self._batch_size)
        return self._source

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name; `details` then says of how many rows and tokens."""
        source, sums, waiting = self.source, Sums(), []

        def place(batch):
            return sharding.put(batch, self._mesh)

        with Prefetch(source.batch, place, 0, source.steps_per_epoch) as batches:
            for batch in batches:
                waiting.append(self._measure(variables, batch))
                if len(waiting) > 2:  # keep the device busy, but no more than three batches on it
                    sums.add(jax.device_get(waiting.pop(0)))
        for row in jax.device_get(waiting):
            sums.add(row)
        numbers = sums.means()
        counted = sums.sums["loss"][1]
        self.details = {"examples": source.examples, "tokens": int(counted)}
        numbers["perplexity"] = math.exp(min(numbers["loss"], 700.0))
        if counted == source.tokens:
            numbers["bits_per_byte"] = numbers["loss"] / math.log(2) / source.bytes_per_token
        return numbers
