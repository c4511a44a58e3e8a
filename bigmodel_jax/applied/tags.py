"""Texts whose words have tags: the entities that a tagger finds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.applied import base
from bigmodel_jax.applied.printing import Show, table
from bigmodel_jax.data import conll, encoding
from bigmodel_jax.data.tagged import Sentence
from bigmodel_jax.data.text_words import Word, words
from bigmodel_jax.evals.tagging_metrics import entities, in_iob2

SHOWN = 20  # entities of a text in a table


class Answer(NamedTuple):
    """A text, its words, and the tag of each."""

    text: str
    words: Sequence[Word]
    tags: Sequence[str]


class Answers(base.Answers):
    """A run on data/conll.py's sentences; a text is cut into words by data/text_words.py.

    A text longer than config.data.max_length is several rows, as a sentence there is.
    """

    data = ("conll",)

    def __init__(self, *loaded):
        super().__init__(*loaded)
        self._tokenizer, self.label_names = encoding.load_assets(self.assets, self.config["data"])
        self._iob = in_iob2(self.label_names)
        self._cut = self._count = 0
        everywhere = jax.sharding.NamedSharding(self.mesh, jax.P())

        def guess(variables, batch):
            return self.task.predict(variables, batch)["logits"].argmax(-1)

        self._guess = jax.jit(guess, out_shardings=everywhere)

    def answers(self, texts: Sequence[str], batch_size: int = 0) -> list[Answer]:
        found = [words(text) for text in texts]
        # The tags, of which only the places matter, are all the first.
        sentences = [
            Sentence([word.text for word in cut], [self.label_names[0]] * len(cut), "")
            for cut in found
            if cut
        ]
        most, ids = self.config["data"]["max_length"], {self.label_names[0]: 0}
        rows, in_parts = conll.encode_rows(sentences, self._tokenizer, most, ids)
        self._cut, self._count = self._cut + in_parts, self._count + len(texts)
        tags: list[str] = []
        for places in self.slices(len(rows), max(batch_size, len(texts))):
            part = [rows[i] if i >= 0 else None for i in places]
            length = base.bucket(max(len(row[0]) for row in part if row is not None), most)
            batch = conll.make_batch(part, length)
            guess = self._guess(self.variables, sharding.put(batch, self.mesh))
            # Row by row, word by word: a word's tag is that of its first piece.
            chosen = np.asarray(guess)[batch["label"] != conll.NO_TAG]
            tags += [self.label_names[i] for i in chosen]
        ends = np.cumsum([len(cut) for cut in found])
        return [
            Answer(text, cut, tags[end - len(cut) : end])
            for text, cut, end in zip(texts, found, ends, strict=True)
        ]

    def entities(self, answer: Answer) -> list[dict[str, Any]]:
        """{"type", "text", "start", "end"} of each: text[start:end] of the answer's, in characters."""
        found = []
        for kind, first, stop in entities(answer.tags):
            start, last = answer.words[first].start, answer.words[stop - 1]
            end = last.start + len(last.text)
            found.append({"type": kind, "text": answer.text[start:end], "start": start, "end": end})
        return found

    def as_json(self, answer: Answer) -> dict[str, Any]:
        """{"text", "tokens": words, "tags": of each}, and of tags in IOB2 "entities"."""
        tokens = [word.text for word in answer.words]
        line = {"text": answer.text, "tokens": tokens, "tags": list(answer.tags)}
        return {**line, "entities": self.entities(answer)} if self._iob else line

    def table(self) -> Show:
        """Entities beside their texts; of tags that are none, each word with its tag."""

        def row(answer):
            if self._iob:
                pairs = [(x["text"], x["type"]) for x in self.entities(answer)]
            else:
                pairs = [(w.text, tag) for w, tag in zip(answer.words, answer.tags, strict=True)]
            shown = [f"{text} {kind}" for text, kind in pairs[:SHOWN]]
            shown += [f"and {len(pairs) - SHOWN} more"] if len(pairs) > SHOWN else []
            return [", ".join(shown) or "-", answer.text]

        return table({"entities" if self._iob else "tags": 0}, row)

    def notes(self) -> list[str]:
        if not self._cut:
            return []
        most = self.config["data"]["max_length"]
        return [
            f"longer than the {most} pieces that the run read at once: {self._cut} of {self._count} "
            "texts, which were read in parts, cut between words."
        ]
