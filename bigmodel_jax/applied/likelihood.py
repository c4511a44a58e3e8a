"""Texts under a language model: how surprising each is, in nats a token and bits a byte."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from bigmodel_jax.applied import running
from bigmodel_jax.applied.printing import Show, table
from bigmodel_jax.data.packing import in_pieces


class Answer(NamedTuple):
    """A text and the loss of all its tokens.

    Attributes:
        nats: summed over tokens.
        tokens: that are predicted, with the end of the text if the tokenizer has a sign for it.
        bytes: of the text in UTF-8.
    """

    text: str
    nats: float
    tokens: int
    bytes: int

    def numbers(self) -> dict[str, float | None]:
        """ "loss" in nats a token, "perplexity", "bits_per_byte", as evals/language.py has them.

        They are None of a text of which nothing is predicted.
        """
        if not self.tokens:
            return dict.fromkeys(("loss", "perplexity", "bits_per_byte"))
        loss = self.nats / self.tokens
        return {
            "loss": loss,
            "perplexity": math.exp(min(loss, 700.0)),
            "bits_per_byte": self.nats / math.log(2) / self.bytes,
        }


class Answers(running.Answers):
    """A run of a decoder; each text is a document, whichever data it learnt from.

    One longer than config.data.length is several rows that do not see each other, as it is where it
    is alone in a split.
    """

    data = ("tokens", "chat")

    def __init__(self, *loaded):
        super().__init__(*loaded)

        def nats(variables, batch):
            return (self.task.predict(variables, batch)["nats"] * batch["mask"]).sum(-1)

        self._nats = jax.jit(nats, out_shardings=self.everywhere)

    def answers(self, texts: Sequence[str], batch_size: int = 0) -> list[Answer]:
        # As data/tokenizing.py: what is no more than white space is an empty document.
        documents = [
            np.concatenate([self.before, self.tokenizer.encode(text), self.after])
            if text.strip()
            else self.before[:0]
            for text in texts
        ]
        flat, begins, count = running.laid_out(documents)
        # Nothing is before the first token: it is not predicted.
        counted = np.maximum(count - 1, 0)
        first, kept = in_pieces(begins + 1, counted, self.length)
        sums = np.zeros(len(first))
        for rows in self.slices(len(first), max(batch_size, len(texts))):
            real = rows >= 0
            batch = self.batch(flat, first[rows], np.where(real, kept[rows], 0), shift=True)
            found = self._nats(self.variables, self.put(batch))
            sums[rows[real]] = np.asarray(found)[real]
        owner = np.repeat(np.arange(len(texts)), -(-counted // self.length))
        nats = np.bincount(owner, sums, len(texts))
        return [
            Answer(text, float(total), int(tokens), len(text.encode("utf-8")))
            for text, total, tokens in zip(texts, nats, counted, strict=True)
        ]

    def as_json(self, answer: Answer) -> dict[str, Any]:
        """{"text", "tokens": how many, "loss", "perplexity", "bits_per_byte"}; see Answer."""
        return {"text": answer.text, "tokens": answer.tokens, **answer.numbers()}

    def table(self) -> Show:
        """The numbers beside the text."""

        def row(answer):
            loss, perplexity, bits = (
                "-" if value is None else f"{value:.{digits}f}" if value < 1e6 else f"{value:.1e}"
                for value, digits in zip(answer.numbers().values(), (4, 2, 4), strict=True)
            )
            return [loss, perplexity, bits, str(answer.tokens), answer.text]

        return table({"nats/token": 10, "perplexity": 10, "bits/byte": 9, "tokens": 7}, row)
