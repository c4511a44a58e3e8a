"""Texts and what an encoder-decoder writes of them: translations, summaries, answers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bigmodel_jax.applied import base
from bigmodel_jax.applied.printing import Show, table
from bigmodel_jax.data import token_files
from bigmodel_jax.data.pairs import START, encode
from bigmodel_jax.generation.seq2seq import Generator
from bigmodel_jax.generation.translator import Search, Translator


class Answer(NamedTuple):
    """A text, and what was written of it."""

    text: str
    answer: str


class Answers(base.Answers):
    """A run on data/pairs.py, which searches as its own evaluation does."""

    data = ("pairs",)

    def __init__(self, *loaded):
        super().__init__(*loaded)
        tokenizer = token_files.load_tokenizer(self.assets / token_files.TOKENIZER)
        fields = {"ends": (tokenizer.separator,), "known": tokenizer.vocabulary_size}
        generator = Generator(self.task.model, self.variables, self.mesh, start=START, **fields)
        self._most = int(self.config["data"]["source_length"])
        self._prefix = self.config["data"].get("prefix") or ""
        self._tokenizer = tokenizer
        self._translator = Translator(generator, tokenizer, self._most, search_of(self.config))
        self._cut = self._count = 0

    def answers(self, texts: Sequence[str], batch_size: int = 0) -> list[Answer]:
        sources = [self._prefix + text for text in texts]
        self._cut += sum(len(encode(text, self._tokenizer)) > self._most for text in sources)
        self._count += len(texts)
        found = self._translator.translate(sources)
        return [Answer(*pair) for pair in zip(texts, found, strict=True)]

    def as_json(self, answer: Answer) -> dict[str, Any]:
        """{"text", "answer"}."""
        return answer._asdict()

    def table(self) -> Show:
        """The answer beside the text."""
        return table({"answer": 0}, lambda answer: [answer.answer, answer.text])

    def notes(self) -> list[str]:
        if not self._cut:
            return []
        return [
            f"longer than the {self._most} tokens that the run read at once: {self._cut} of "
            f"{self._count} texts, of which it saw the beginning."
        ]


def search_of(config: Mapping) -> Search:
    """How a run's evaluation searches: at its end, if it does then, else during training."""
    specs = [spec for spec in config["evals"].values() if spec["name"] == "translation"]
    specs.sort(key=lambda spec: spec.get("every", "end") != "end")
    given = specs[0] if specs else {}
    return Search(
        **{key: given[key] for key in Search._fields if key in given and key != "batch_size"}
    )
