"""Evaluates a language model: the loss over every token of a split, once; perplexity, bits a byte."""

import math
from collections.abc import Mapping

from bigmodel_jax.evals import loss


class Evaluator(loss.Evaluator):
    """The task's own loss and metrics over a whole split.

    "loss" is in nats a token, "perplexity" its exponential. "bits_per_byte" is of the UTF-8 text, so
    that models with different tokenizers can be compared; where every token of the split counts.
    """

    def run(self, variables: Mapping) -> dict[str, float]:
        """Numbers by name; `details` then says of how many rows and tokens."""
        sums = self.sums(variables)
        numbers, counted = sums.means(), sums.sums["loss"][1]
        self.details = {"examples": self.source.examples, "tokens": int(counted)}
        numbers["perplexity"] = math.exp(min(numbers["loss"], 700.0))
        if counted == getattr(self.source, "tokens", None):
            bits = numbers["loss"] / math.log(2)
            numbers["bits_per_byte"] = bits / self.source.bytes_per_token
        return numbers
