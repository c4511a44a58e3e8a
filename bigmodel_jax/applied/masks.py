"""Texts with masks, under a masked language model: what may stand in place of each."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from bigmodel_jax.applied import running
from bigmodel_jax.applied.printing import Show, table
from bigmodel_jax.data.tokenizers import raw
from bigmodel_jax.data.tokenizers.published import MASKS
from bigmodel_jax.errors import UserError

SHOWN = 5  # tokens for each mask


class Answer(NamedTuple):
    """A text, and for each of its masks the likeliest tokens with their probabilities."""

    text: str
    masks: Sequence[Sequence[tuple[str, float]]]


class Answers(running.Answers):
    """A run of an encoder. A mask is written as its tokenizer names it, or as [MASK] or <mask>.

    Of a text longer than config.data.length the model sees as much around its masks as that holds.
    """

    data = ("tokens",)

    def __init__(self, *loaded):
        super().__init__(*loaded)
        known = self.tokenizer.vocabulary_size  # the model's, and the id of the mask, may be beyond
        own = self.tokenizer.tokens([self.task.mask_id] if self.task.mask_id < known else [])
        self._names = tuple(dict.fromkeys((*MASKS, *filter(str.isprintable, own))))
        self._pattern = re.compile("|".join(map(re.escape, self._names)))
        # Of byte-level BPE a space is the beginning of the word behind it, which is hidden with it.
        pieces = isinstance(self.tokenizer, raw.Tokenizer)
        self._spaces = pieces and self.tokenizer.tokens(self.tokenizer.encode(" ")) == ["Ġ"]
        self._templated = pieces and self.tokenizer.template() is not None
        self._cut = self._count = 0

        def likeliest(variables, batch):
            probabilities = self.task.predict(variables, batch)["probabilities"][..., :known]
            return jax.lax.top_k(probabilities, min(SHOWN, known))

        self._likeliest = jax.jit(likeliest, out_shardings=self.everywhere)

    def answers(self, texts: Sequence[str], batch_size: int = 0) -> list[Answer]:
        """As of base.Answers.

        Raises:
            UserError: a text without a mask, or with masks too far from each other.
        """
        read = [self._read(text) for text in texts]
        flat, first, count = running.laid_out([ids for ids, _ in read])
        # Padded to a power of two, so that few shapes are compiled.
        most = 1 << (max(len(masks) for _, masks in read) - 1).bit_length()
        places = np.zeros((len(texts), most), np.int32)
        for row, (_, masks) in zip(places, read, strict=True):
            row[: len(masks)] = masks
        found: list[Answer] = []
        for rows in self.slices(len(texts), max(batch_size, len(texts))):
            real = rows >= 0
            batch = self.batch(flat, first[rows], np.where(real, count[rows], 0), shift=False)
            batch["places"] = places[rows]
            values, ids = jax.device_get(self._likeliest(self.variables, self.put(batch)))
            for i, row in enumerate(map(int, rows[real])):
                masks = [
                    list(
                        zip(self.tokenizer.tokens(ids[i, j]), map(float, values[i, j]), strict=True)
                    )
                    for j in range(len(read[row][1]))
                ]
                found.append(Answer(texts[row], masks))
        return found

    def _read(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """(ids of what the model sees of a text, the places of its masks there)."""
        parts = self._pattern.split(text)
        if len(parts) == 1:
            *others, last = self._names
            raise UserError(
                f"The text {text[:40]!r} has no mask: write {', '.join(others)} or {last} where a "
                "token is to be guessed."
            )
        hidden = np.array([self.task.mask_id], np.int32)
        # Without a template a document's rows begin with its first word (data/tokens.py).
        ids = [self.before if self._templated else self.before[:0]]
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            ids.append(self.tokenizer.encode(part.rstrip() if self._spaces and not last else part))
            ids.append(self.after if last else hidden)
        masks = np.cumsum([len(part) for part in ids])[2:-1:2] - 1
        whole = np.concatenate(ids).astype(np.int32)
        self._count += 1
        if (over := len(whole) - self.length) <= 0:
            return whole, masks
        self._cut += 1
        if masks[-1] - masks[0] >= self.length:
            raise UserError(
                f"The masks of the text {text[:40]!r} are {masks[-1] - masks[0]} tokens apart, and "
                f"the run read {self.length} at once: make two texts of it."
            )
        start = int(np.clip((masks[0] + masks[-1] + 1 - self.length) // 2, 0, over))
        return whole[start : start + self.length], masks - start

    def as_json(self, answer: Answer) -> dict[str, Any]:
        """{"text", "masks": for each a list of {"token", "probability"}, the likeliest first}."""
        keys = ("token", "probability")
        masks = [[dict(zip(keys, pair, strict=True)) for pair in mask] for mask in answer.masks]
        return {"text": answer.text, "masks": masks}

    def table(self) -> Show:
        """A line for each mask beside the text."""

        def row(answer):
            lines = ["  ".join(f"{token} {p:.2f}" for token, p in mask) for mask in answer.masks]
            if len(lines) > 1:
                lines = [f"{i}: {line}" for i, line in enumerate(lines, 1)]
            return ["\n".join(lines), answer.text]

        return table({"in place of the mask": 0}, row)

    def notes(self) -> list[str]:
        if not self._cut:
            return []
        return [
            f"longer than the {self.length} tokens that the run read at once: {self._cut} of "
            f"{self._count} texts, of which it saw what is around their masks."
        ]
