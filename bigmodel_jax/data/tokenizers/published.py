"""A tokenizer that somebody published: a `tokenizer.json` of the package `tokenizers`.

tokenizer=dict(name="published", path="bert-base-uncased/tokenizer.json")

The file is copied whole into the run: `predict` needs the original no more. Training and evaluating
read it, and refuse another content than the run began with.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bigmodel_jax.data import published
from bigmodel_jax.data.cleaning import clean
from bigmodel_jax.errors import UserError

# Names that a separator and a mask go by: of BERT, RoBERTa, XLNet, this package, GPT-2, Llama, Gemma.
SEPARATORS = (
    "[SEP]", "</s>", "<sep>", "<separator>", "<|endoftext|>", "<|end_of_text|>", "<eos>",
)  # fmt: skip
MASKS = ("[MASK]", "<mask>")


class Tokenizer:
    """Text to the ids of a published tokenizer, without the special tokens around it.

    Text is cleaned first, as for any tokenizer (HTML, control characters, NFKC); the file's own
    normalisation follows. `separator` and `mask` are None where it has no token of a common name.

    Args:
        path: of the file.
    """

    def __init__(self, path: str):
        if path is None:
            raise UserError("Where is the tokenizer? --config.data.tokenizer.path=FILE names it.")
        self._path = Path(path).expanduser()

    def identity(self) -> str:
        """sha256 of the file, in hexadecimal."""
        return hashlib.sha256(published.read(self._path)).hexdigest()

    def train(self, texts: Iterable[str]) -> None:
        """Reads the file; the texts teach it nothing and are not read."""
        self._use(published.read(self._path))

    def encode(self, text: str) -> np.ndarray:
        """Ids of the pieces of raw text, int32 [length]."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The same of many, which is faster."""
        ids = published.encode_clean(self._tokenizer, [clean(text) for text in texts])
        return [np.array(x, np.int32) for x in ids]

    def encode_offsets(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Ids of raw texts, with the characters of each piece: int32 [length], [length, 2].

        Nothing is cleaned away, so that the characters are those of the text.
        """
        return published.encode_offsets(self._tokenizer, texts)

    def template(self) -> tuple[tuple[int, ...], ...] | None:
        """The ids (before, between, after) that the file sets around texts; None of its own."""
        return published.template(self._tokenizer)

    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """The pieces that ids stand for, with the marks that the file uses."""
        return [published.piece(self._tokenizer, int(i)) for i in ids]

    def save(self, folder: Path) -> None:
        """Copies the file."""
        (Path(folder) / "tokenizer.json").write_bytes(self._saved)

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote; the file at `path` need not be there."""
        self._use((Path(folder) / "tokenizer.json").read_bytes())

    def _use(self, content: bytes) -> None:
        self._saved = content
        self._tokenizer = published.parse(content, str(self._path))
        ids = self._tokenizer.get_vocab(with_added_tokens=True)
        self.vocabulary_size = max(ids.values()) + 1
        self.separator = next((ids[name] for name in SEPARATORS if name in ids), None)
        self.mask = next((ids[name] for name in MASKS if name in ids), None)
