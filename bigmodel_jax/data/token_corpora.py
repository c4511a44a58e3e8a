"""The corpora of config.data as token files: opened, or made in the cache at first use."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.data import corpora, prepared, token_files, tokenized, tokenizing
from bigmodel_jax.data import splits as splitting
from bigmodel_jax.data.corpora import Files, Readings
from bigmodel_jax.data.corpus import find_split
from bigmodel_jax.data.token_files import TokenFile
from bigmodel_jax.errors import UserError, nearest

KEYS = ("path", "dataset", "reader", "text_column", "weight")


class Spans(NamedTuple):
    """What of a token file a split is.

    Attributes:
        first, stop: places of the documents' tokens, int64 [documents]; none is empty.
        bytes: of their texts in UTF-8.
    """

    file: TokenFile
    first: np.ndarray
    stop: np.ndarray
    bytes: int


class Corpus:
    """One corpus of a config: a folder of token files, files of text, or a reader's texts.

    Args:
        spec: path=..., dataset=... (of tfds) or reader=dict(...); text_column.
        splits: of the config; fitted to those that there are.
    """

    def __init__(self, spec: Mapping, splits: Mapping[str, str], data_dir: str):
        for key in spec:
            if key not in KEYS:
                raise UserError(f"config.data.corpora has no key {key!r}.{nearest(key, KEYS)}")
        given = [key for key in ("path", "dataset", "reader") if spec.get(key)]
        if not given:
            raise UserError(
                "Where is the text? --config.data.path=FILE_OR_FOLDER names it, or a token file."
            )
        self.weight, self._data_dir = spec.get("weight"), data_dir
        self.raw: Files | Readings | None = None
        self._folders: dict[str, Path] = {}
        if given[0] == "path":
            root = Path(spec["path"]).expanduser()
            self._folders = _token_folders(root)
            if not self._folders:
                self.raw = Files([spec["path"]], spec.get("text_column") or "text")
            self.name = root.name
        else:
            reader = spec.get("reader") or {
                "name": "tfds",
                "dataset": spec["dataset"],
                "label_key": None,
                **({"text_key": spec["text_column"]} if spec.get("text_column") else {}),
            }
            self.raw = Readings(reader, data_dir)
            self.name = self.raw.name
        names = self.raw.splits if self.raw else tuple(self._folders)
        self.splits = splitting.complete(splits, dict.fromkeys(names, 1))
        self._files: dict[str, TokenFile] = {}

    def use(self, tokenizer) -> None:
        """Takes the tokenizer with which text becomes tokens."""
        if self.raw is None:
            return
        identity = token_files.content_hash(tokenizer)
        name = corpora.fingerprint(self.raw, tokenizer=identity, version=tokenizing.VERSION)
        root = tokenized.folder(self._data_dir, f"tokens-{name}")
        self._folders = {split: root / split for split in self.raw.splits}
        self._tokenizer = tokenizer

    def texts(self):
        """The texts of the training part: of files, of all their train split."""
        assert self.raw is not None
        if isinstance(self.raw, Readings):
            return self.raw.texts(self.splits["train"])
        return tokenizing.training_texts(self.raw, "train")

    def file(self, split: str) -> TokenFile:
        """The token file of one of the corpus's own splits."""
        if split not in self._folders:
            raise UserError(f"{self.name} has no split {split!r}.{nearest(split, self._folders)}")
        if split not in self._files:
            self._files[split] = self._open(split, self._folders[split])
        return self._files[split]

    def _open(self, split, folder):
        if self.raw is None:
            return token_files.open_file(folder)
        tokenizing.tokenize(self.raw, split, self._tokenizer, folder)
        try:
            return token_files.open_file(folder)
        except UserError as error:
            print(f"The cached token file is made anew: {error}", flush=True)
            shutil.rmtree(folder)
            tokenizing.tokenize(self.raw, split, self._tokenizer, folder)
            return token_files.open_file(folder)

    def fingerprints(self) -> list[str]:
        """What the corpus is, by content."""
        if isinstance(self.raw, Readings):
            return [str(self.raw.identity())]
        return [token_files.fingerprint(self.file(split).meta) for split in self._folders]

    def spans(self, split: str) -> Spans:
        """What a split of the config, or a slice, is of a token file.

        A corpus of one document is cut by its tokens, any other between documents.
        """
        expression = find_split(self.splits, split)
        name = splitting.split_name(expression)
        file = self.file(name)
        first, stop = file.documents[:-1], file.documents[1:]
        if len(first) == 1:
            # With a separator at the end of the document, which belongs to its last token.
            places = splitting.parse(expression, {name: int(stop[0] - first[0])})[1]
            first, stop = first + places[:1], first + places[-1:] + 1
            if len(places) == stop[0] - first[0] and len(places) == np.diff(file.documents)[0]:
                return Spans(file, first, stop, int(file.bytes[0]))
            text = file.tokenizer.decode(file.tokens[int(first[0]) : int(stop[0])])
            return Spans(file, first, stop, len(text.encode("utf-8")))
        if isinstance(self.raw, Readings):
            places = self.raw.positions(expression)
        elif "hash" in expression:
            raise UserError(
                f"The split {expression!r} of {self.name}: token files and files of text are cut by "
                "position or fold; a split by hash needs a reader."
            )
        else:
            places = splitting.parse(expression, {name: len(first)})[1]
        first, stop, size = first[places], stop[places], int(file.bytes[places].sum())
        real = stop > first
        if not real.any():
            raise UserError(f"The split {expression!r} of {self.name} holds only empty documents.")
        return Spans(file, first[real], stop[real], size)

    def check_split(self, split: str) -> None:
        """Raises a UserError for an unknown or empty split, without reading a text of it."""
        expression = find_split(self.splits, split)
        name = splitting.split_name(expression)
        if isinstance(self.raw, Readings):
            splitting.parse(expression, self.raw.sizes)
        elif name not in self._folders:
            raise UserError(f"{self.name} has no split {name!r}.{nearest(name, self._folders)}")
        else:
            self.spans(split)


def open_corpora(
    specs: Sequence[Mapping], splits: Mapping[str, str], tokenizer: Mapping | None, data_dir: str
) -> tuple[list[Corpus], Any]:
    """(the corpora, their one tokenizer: that of the token files, or trained on all texts).

    Raises:
        UserError: nothing there, or token files of different tokenizers.
    """
    data_dir = data_dir or prepared.default_data_dir()
    found = [Corpus(spec, splits, data_dir) for spec in specs]
    made = [corpus for corpus in found if corpus.raw is None]
    if made:
        hashes = {c.name: c.file("train").meta["tokenizer_sha256"] for c in made}
        if len(set(hashes.values())) > 1:
            raise UserError(
                f"The token files {', '.join(hashes)} were made by different tokenizers: make them "
                "again with one, python -m bigmodel_jax.tokenize --tokenizer=PATH/tokenizer.json."
            )
        if tokenizer is not None:
            raise UserError(
                f"config.data.tokenizer is set, but {made[0].name} is a token file, which has its own: "
                "leave it out."
            )
        shared = made[0].file("train").tokenizer
    elif tokenizer is None:
        raise UserError(
            'config.data.tokenizer is missing: dict(name="raw", kind="bpe", vocabulary_size=...), or '
            "name a token file of python -m bigmodel_jax.tokenize."
        )
    else:
        shared = _trained(found, tokenizer, data_dir)
    for corpus in found:
        corpus.use(shared)
    return found, shared


def _trained(found: Sequence[Corpus], spec: Mapping, data_dir: str) -> Any:
    """The tokenizer of texts, from the cache or trained now."""
    raw = [corpus.raw for corpus in found if corpus.raw is not None]
    built = tokenizing.build(spec)
    parts = [
        corpora.fingerprint(x, train=c.splits["train"]) for x, c in zip(raw, found, strict=True)
    ]
    identity = getattr(built, "identity", str)()
    name = tokenized.fingerprint(corpora=parts, tokenizer=dict(spec), file=identity)
    texts = (text for corpus in found for text in corpus.texts())
    return tokenizing.trained(spec, tokenized.folder(data_dir, f"tokenizer-{name}"), texts)


def _token_folders(root: Path) -> dict[str, Path]:
    """Token files by split: the folder itself is "train", or it holds one for each split."""
    if token_files.exists(root):
        return {"train": root}
    names = ("train", "validation", "test")
    found = {name: root / name for name in names if token_files.exists(root / name)}
    if found and "train" not in found:
        raise UserError(f"{root} holds token files, but none called train.")
    return found
