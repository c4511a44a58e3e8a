"""Pieces of raw text, for language models: nothing is cleaned away, capitals are kept.

    tokenizer=dict(name="raw", kind="bpe", vocabulary_size=16_000)     trained on the training part
    tokenizer=dict(name="raw", path="gpt2/tokenizer.json")             one that somebody published

Byte-level BPE gives back the text exactly: decode(encode(text)) == text, with every space and line
end. WordPiece (BERT's) and Unigram (T5's) read any white space as one space.
"""

import functools
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer as Package
from tokenizers import pre_tokenizers

from bigmodel_jax.data import pretokens, published
from bigmodel_jax.data import subword_training as training
from bigmodel_jax.data.tokenizers import SPECIAL
from bigmodel_jax.data.tokenizers.published import MASKS, SEPARATORS
from bigmodel_jax.data.tokenizers.subword import check_size
from bigmodel_jax.data.wordwise import Wordwise
from bigmodel_jax.errors import UserError


class Tokenizer:
    """Raw text to ids and back.

    The `separator` ends a document (GPT-2's <|endoftext|>, BERT's [SEP]); `separator` and `mask` are
    None where a published file has no token of a common name. Trained ones have the ids of SPECIAL.
    `special` are the ids that stand for no text.

    Args:
        kind: what is trained: "bpe" (of bytes: nothing is unknown), "wordpiece" or "unigram".
        vocabulary_size: of what is trained, as in data/tokenizers/subword.py.
        lowercase: whether "Good" and "good" are the same, of what is trained.
        path: of a tokenizer.json to be taken as it is; None trains one, "" is yet to be named.
        added: special tokens behind the vocabulary, such as those of a template of chats: found in a
            text before it is cut into pieces, and left out by `decode`.
    """

    def __init__(
        self,
        kind: str = "bpe",
        vocabulary_size: int = 16_000,
        lowercase: bool = False,
        path: str | None = None,
        added: Sequence[str] = (),
    ):
        check_size(kind, vocabulary_size)
        if path == "":
            raise UserError("Where is the tokenizer? --config.data.tokenizer.path=FILE names it.")
        self.kind, self.vocabulary_size, self.lowercase = kind, vocabulary_size, lowercase
        self._path, self._added = Path(path).expanduser() if path else None, added

    def identity(self) -> str:
        """sha256 of the file at `path` and of what is added; empty where there is none."""
        if not self._path:
            return ""
        more = "".join(f"\0{token}" for token in self._added).encode()
        return hashlib.sha256(published.read(self._path) + more).hexdigest()

    def train(self, texts: Iterable[str]) -> None:
        """Counts words in one pass and trains on the counts; or reads the file at `path`."""
        if self._path:
            trained = published.parse(published.read(self._path), str(self._path))
        elif self.kind == "bpe":
            counts = training.count_words(texts, pretokens.byte_level)
            trained = training.train_bpe(counts, self.vocabulary_size, self.lowercase, raw=True)
        else:
            counts = training.count_words(texts, str.split)
            trained = training.TRAINERS[self.kind](counts, self.vocabulary_size, self.lowercase)
            if self.kind == "unigram":  # of which white space other than " " would be unknown
                blanks: list = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
                trained.pre_tokenizer = pre_tokenizers.Sequence(blanks)  # type: ignore[assignment]
        trained.add_special_tokens(list(self._added))
        self.take(trained)

    def encode(self, text: str) -> np.ndarray:
        """Ids of the pieces of raw text, int32 [length]."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The same of many, which is faster."""
        if self._wordwise:
            return self._wordwise.encode_batch(texts)
        ids = published.encode_clean(self._tokenizer, texts)
        return [np.array(x, np.int32) for x in ids]

    def encode_offsets(self, texts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        """The same of raw texts, with the characters of each piece: ids, int32 [length, 2]."""
        return published.encode_offsets(self._tokenizer, texts)

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text that ids stand for, without special tokens."""
        kept = [int(i) for i in ids if int(i) not in self.special]
        return self._tokenizer.decode(kept, skip_special_tokens=False)

    def template(self) -> tuple[tuple[int, ...], ...] | None:
        """The ids (before, between, after) that the file sets around texts; None of its own."""
        return published.template(self._tokenizer)

    def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """The pieces that ids stand for, with their kind's mark: "Ġfilm", "##ing" or "▁film"."""
        return [published.piece(self._tokenizer, int(i)) for i in ids]

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json`: the same bytes for the same vocabulary."""
        text = self._tokenizer.to_str(pretty=True)
        (Path(folder) / "tokenizer.json").write_text(text + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote."""
        self.read(Path(folder) / "tokenizer.json")

    def read(self, path: Path) -> None:
        """Reads a tokenizer.json of any name."""
        self.take(published.parse(path.read_bytes(), str(path)))

    @property
    def continues(self) -> str:
        """The mark of a piece that goes on with a word: "##" of WordPiece, else none."""
        return "##" if type(self._tokenizer.model).__name__ == "WordPiece" else ""

    def take(self, tokenizer: Package) -> None:
        """Takes one of the package `tokenizers` as it is."""
        self._tokenizer = tokenizer
        cut = pretokens.cut_of(tokenizer)
        encode = functools.partial(published.encode_clean, tokenizer)
        self._wordwise = Wordwise(encode, cut) if cut else None
        ids = tokenizer.get_vocab(with_added_tokens=True)
        self.vocabulary_size = max(ids.values()) + 1
        self.separator = next((ids[name] for name in SEPARATORS if name in ids), None)
        self.mask = next((ids[name] for name in MASKS if name in ids), None)
        added = tokenizer.get_added_tokens_decoder()
        special = {i for i, token in added.items() if token.special}
        self.special = frozenset(special | {ids[name] for name in SPECIAL if name in ids})
