"""Corpora of pairs of texts, source and target, from files, prepared data sets or other readers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bigmodel_jax import config
from bigmodel_jax.data import records
from bigmodel_jax.data import splits as splitting
from bigmodel_jax.data.corpora import by_split
from bigmodel_jax.data.corpus import find_split
from bigmodel_jax.data.hashes import text_hashes
from bigmodel_jax.data.token_files import file_sha256
from bigmodel_jax.errors import UserError, nearest

COLUMNS = ("source_column", "target_column")
KEYS = ("path", "reader", *COLUMNS, "prefix", "weight")


class Pair(NamedTuple):
    """What is read, with the corpus's prefix before it, and what is to be written."""

    source: str
    target: str


class Corpus:
    """One corpus of a config, read whole.

    Args:
        spec: path=... or reader=dict(...), with source_column and target_column ("source" and "target"
            of files, "text" and "pair" of a reader); prefix, weight.
        splits: of the config; fitted to those that there are.

    Attributes:
        sizes: pairs of its own splits.
        identity: what it is, by content, as JSON has it.
    """

    def __init__(self, spec: Mapping, splits: Mapping[str, str], data_dir: str):
        for key in spec:
            if key not in KEYS:
                raise UserError(f"config.data.corpora has no key {key!r}.{nearest(key, KEYS)}")
        self.weight, self._prefix = spec.get("weight"), spec.get("prefix") or ""
        columns = [spec.get(key) for key in COLUMNS]
        if path := spec.get("path"):
            self.name, self.synthetic = Path(path).name, False
            named = {
                f"--config.data.{key}": name or key.removesuffix("_column")
                for key, name in zip(COLUMNS, columns, strict=True)
            }
            self._read, self.identity = _of_files(path, named)
        elif reader := spec.get("reader"):
            opened = config.build("data.readers", reader, data_dir=data_dir)
            self.name, self.synthetic = opened.name, opened.synthetic
            self._read = _of_reader(opened, columns[0] or "text", columns[1] or "pair")
            self.identity = [opened.fingerprint(), reader, *(name for name in columns if name)]
        else:
            raise UserError("Where are the pairs? --config.data.path=FILE_OR_FOLDER names them.")
        self.identity.append(self._prefix)
        self.sizes = {name: len(pairs) for name, pairs in self._read.items()}
        self._splits = splitting.complete(splits, self.sizes)

    def pairs(self, split: str) -> list[Pair]:
        """The pairs of a split of the config, or of a slice.

        Raises:
            UserError: there is no such split, or it is empty.
        """
        expression = find_split(self._splits, split)
        read = self._read.get(splitting.split_name(expression), [])
        positions = splitting.parse(expression, self.sizes, lambda: text_hashes(read))[1]
        return [Pair(self._prefix + read[i].source, read[i].target) for i in positions]


Read = dict[str, list[Pair]]  # by split


def _of_files(path: str, columns: Mapping[str, str]) -> tuple[Read, list[Any]]:
    """(the pairs of files, what these are)."""
    files = by_split([path])
    read = {name: [p for file in found for p in _records(file, columns)] for name, found in files.items()}  # fmt: skip
    hashes = [[name, [file_sha256(file) for file in found]] for name, found in files.items()]
    return read, [*hashes, list(columns.values())]


def _records(path: Path, columns: Mapping[str, str]):
    for place, values in records.read(path, columns):
        for value in values:
            check_text(value, place)
        yield Pair(*values)


def _of_reader(reader: Any, source: str, target: str) -> Read:
    """The pairs of a reader, by the keys of both texts."""
    found: Read = {}
    for name in reader.splits:
        found[name] = []
        for i, example in enumerate(reader.examples(name)):
            place = f"{reader.name} {name} example {i}"
            if target not in example:
                raise UserError(f"{reader.name} holds single texts, and pairs are asked for.")
            for key in (source, target):
                check_text(example.get(key), place)
            found[name].append(Pair(example[source], example[target]))
    return found


def check_text(text: Any, place: str) -> None:
    """Raises a UserError for what is no text, or none that UTF-8 can write."""
    if not isinstance(text, str):
        raise UserError(f"{place}: source and target are strings, not {text!r:.40}.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can write them
        raise UserError(
            f"{place} holds half of a character, {text[error.start]!r}, which no UTF-8 text has: take "
            "it out."
        ) from error


def texts(corpora: Sequence[Corpus], split: str):
    """All texts of a split, to train a tokenizer on."""
    for corpus in corpora:
        for pair in corpus.pairs(split):
            yield from pair
