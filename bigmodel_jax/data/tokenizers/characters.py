"""One id a character, those of the training part in the order of their code points."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bigmodel_jax.errors import UserError

MOST = 0x110000  # code points of Unicode


class Tokenizer:
    """Characters to ids and back, exactly; no special ids: a document just ends.

    `vocabulary_size` is 0 until `train` or `load`.
    """

    separator = mask = None
    special = frozenset()
    continues = ""

    def __init__(self):
        self._use("")

    def train(self, texts: Iterable[str]) -> None:
        """Finds the characters that occur."""
        found: set[str] = set()
        for text in texts:
            found.update(text)
        self._use("".join(sorted(found)))

    def encode(self, text: str) -> np.ndarray:
        """Ids of the characters, int32 [length].

        Raises:
            UserError: a character that was in no training text.
        """
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        ids = self._ids[points]
        if len(ids) and ids.min() < 0:
            unknown = text[int(ids.argmin())]
            raise UserError(
                f"The character {unknown!r} is not among the {self.vocabulary_size} that the "
                "tokenizer learnt: take it out, or train on text that has it."
            )
        return ids

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text that ids stand for."""
        return "".join(self.tokens(ids))

    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """The characters that ids stand for."""
        return [self._characters[int(i)] for i in ids]

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json`: the same bytes for the same characters."""
        text = json.dumps({"characters": self._characters}, ensure_ascii=True)
        (Path(folder) / "tokenizer.json").write_text(text + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote."""
        self.read(Path(folder) / "tokenizer.json")

    def read(self, path: Path) -> None:
        """Reads what `save` wrote into a file of any name."""
        try:
            self._use(json.loads(path.read_text(encoding="utf-8"))["characters"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} holds no characters ({error!r}).") from error

    def _use(self, characters: str) -> None:
        self._characters = characters
        self._ids = np.full(MOST, -1, np.int32)
        self._ids[[ord(c) for c in characters]] = np.arange(len(characters), dtype=np.int32)
        self.vocabulary_size = len(characters)
