"""An indexed token file: documents as ids on the disk, memory-mapped, read at any place.

FOLDER/tokens.bin      little-endian uint16, or uint32 of more than 65,536 ids; all documents one
                       after another, each with the tokenizer's separator at its end, if it has one,
                       and then one more before the first: what is before a document is a separator
       documents.npy   int64 [documents + 1]: where each begins, and where the last ends
       bytes.npy       int64 [documents]: of the text in UTF-8, for bits per byte
       tokenizer.json  what made the ids
       meta.json       counts, the vocabulary's size, sources, hashes

An empty document has no token, and keeps its place: positions are those of the corpus.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.data.tokenizers import characters, raw
from bigmodel_jax.data.unfinished import new_folder
from bigmodel_jax.errors import UserError

VERSION = 1
TOKENIZER = "tokenizer.json"
HASHED = 256 << 20  # bytes of tokens.bin of which the hash is checked at each opening
SAMPLES = 64  # blocks of a larger one in which the ids are checked
BLOCK = 1 << 16  # ids


class TokenFile(NamedTuple):
    """A token file, opened.

    Attributes:
        tokens: memory-mapped, [tokens].
        documents: int64 [documents + 1].
        bytes: int64 [documents].
        meta: what meta.json holds.
        tokenizer: loaded.
    """

    folder: Path
    tokens: np.ndarray
    documents: np.ndarray
    bytes: np.ndarray
    meta: dict[str, Any]
    tokenizer: Any


class Encoded(NamedTuple):
    """Some documents, encoded.

    Attributes:
        tokens: of the file's dtype.
        lengths: tokens of each document, int64; of one that is in several parts the tokens here.
        bytes: of each document in UTF-8, int64.
        empty: how many have no text.
        open: the last goes on in the next part.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    bytes: np.ndarray
    empty: int
    open: bool


def dtype_of(vocabulary_size: int) -> np.dtype:
    """The narrowest that holds all ids."""
    return np.dtype("<u2" if vocabulary_size <= 1 << 16 else "<u4")


def exists(folder: Path) -> bool:
    """Whether a folder is a token file."""
    return (folder / "meta.json").is_file()


def write(folder: Path, parts: Iterable[Encoded], tokenizer, sources: list[dict]) -> None:
    """Writes a token file from its parts, in order; it appears by one rename.

    Args:
        sources: of the corpus.

    Raises:
        UserError: there is not a single token.
    """
    dtype, separator = dtype_of(tokenizer.vocabulary_size), tokenizer.separator
    with new_folder(folder) as part:
        tokenizer.save(part)
        digest, lengths, sizes, empty, open_ = hashlib.sha256(), [], [], 0, False
        with (part / "tokens.bin").open("wb") as file:

            def append(ids: np.ndarray) -> None:
                raw_bytes = ids.tobytes()
                file.write(raw_bytes)
                digest.update(raw_bytes)

            if separator is not None:
                append(np.array([separator], dtype))
            for encoded in parts:
                append(encoded.tokens)
                more, size = encoded.lengths.copy(), encoded.bytes.copy()
                if open_ and len(more):
                    more[0] += lengths[-1][-1]
                    size[0] += sizes[-1][-1]
                    lengths[-1], sizes[-1] = lengths[-1][:-1], sizes[-1][:-1]
                lengths.append(more)
                sizes.append(size)
                empty, open_ = empty + encoded.empty, encoded.open
        first = int(separator is not None)
        counted = np.concatenate([[first], *lengths]).astype(np.int64)
        documents = np.cumsum(counted, dtype=np.int64)
        if documents[-1] == first:
            raise UserError(f"{_names(sources)} holds no text: all of its documents are empty.")
        np.save(part / "documents.npy", documents)
        np.save(part / "bytes.npy", np.concatenate(sizes).astype(np.int64))
        meta = {
            "version": VERSION,
            "documents": len(documents) - 1,
            "empty": empty,
            "tokens": int(documents[-1]),
            "bytes": int(sum(size.sum() for size in sizes)),
            "vocabulary_size": tokenizer.vocabulary_size,
            "separator": separator,
            "dtype": dtype.name,
            "sources": sources,
            "tokens_sha256": digest.hexdigest(),
            "index_sha256": _index_sha256(part),
            "tokenizer_sha256": file_sha256(part / TOKENIZER),
        }
        (part / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
        part.rename(folder)


def open_file(folder: Path) -> TokenFile:
    """Opens a token file and checks that it is whole, and that its corpus is what it was.

    Raises:
        UserError: no token file, cut short, changed, an index that does not fit, ids beyond the
            vocabulary, or a source file that is there and has changed since.
    """
    again = "make it again with python -m bigmodel_jax.tokenize"
    meta = _meta(folder, again)
    tokenizer = load_tokenizer(folder / TOKENIZER)
    if file_sha256(folder / TOKENIZER) != meta["tokenizer_sha256"]:
        raise UserError(
            f"{folder / TOKENIZER} is not the tokenizer that its token file was made with: {again}."
        )
    path, dtype = folder / "tokens.bin", np.dtype(meta["dtype"]).newbyteorder("<")
    size = path.stat().st_size if path.is_file() else 0
    if size != meta["tokens"] * dtype.itemsize:
        raise UserError(
            f"{path} has {size:,} bytes in place of {meta['tokens'] * dtype.itemsize:,}: it was cut "
            f"short or changed; copy it again, or {again}."
        )
    try:
        documents, sizes = np.load(folder / "documents.npy"), np.load(folder / "bytes.npy")
        fits = _index_sha256(folder) == meta["index_sha256"]
        fits = fits and documents[-1] == meta["tokens"] and len(documents) == meta["documents"] + 1
    except (OSError, ValueError, EOFError, IndexError):
        fits = False
    if not fits:
        raise UserError(
            f"The index of {folder} (documents.npy, bytes.npy) is cut short or does not fit its "
            f"tokens: copy it again, or {again}."
        )
    tokens = np.memmap(path, dtype, "r")
    _check_ids(path, tokens, meta, again)
    _check_sources(folder, meta["sources"], again)
    return TokenFile(folder, tokens, documents, sizes, meta, tokenizer)


def load_tokenizer(path: Path) -> Any:
    """The tokenizer of a file, of whichever kind.

    Raises:
        UserError: it is not there, or no tokenizer.
    """
    tokenizer = characters.Tokenizer() if kind_of(path) == "characters" else raw.Tokenizer()
    tokenizer.read(path)
    return tokenizer


def kind_of(path: Path) -> str:
    """The name of the kind of tokenizer that a file holds: "characters" or "raw".

    Raises:
        UserError: it is not there.
    """
    try:
        ours = path.read_bytes().startswith(b'{"characters"')
    except OSError as error:
        raise UserError(f"{path}, the tokenizer, cannot be read: {error.strerror}.") from error
    return "characters" if ours else "raw"


def content_hash(tokenizer) -> str:
    """sha256 of the file that a tokenizer saves, in hexadecimal."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder))
        return file_sha256(Path(folder) / TOKENIZER)


def fingerprint(meta: Mapping) -> str:
    """sha256 of what a token file holds, in hexadecimal."""
    parts = [meta[key] for key in ("tokens_sha256", "index_sha256", "tokenizer_sha256")]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def check_range(ids: np.ndarray, vocabulary_size: int, where: str) -> None:
    """Raises a UserError for ids that are not in [0, vocabulary_size)."""
    if len(ids) and not (ids.min() >= 0 and ids.max() < vocabulary_size):
        bad = ids[(ids < 0) | (ids >= vocabulary_size)][0]
        raise UserError(
            f"{where}: the token id {bad} is outside the vocabulary of {vocabulary_size:,}; the "
            "tokenizer is not the one of these ids."
        )


def _meta(folder, again):
    path = folder / "meta.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        version = meta["version"]
    except OSError as error:
        raise UserError(
            f"{folder} is no token file (it holds no meta.json): {again} --output={folder}."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is torn or damaged ({error!r}): {again}.") from error
    if version != VERSION:
        raise UserError(f"{folder} is of format {version}, and this is {VERSION}: {again}.")
    return meta


def _check_ids(path, tokens, meta, again):
    """All of a small file by its hash; of a large one blocks by their ids."""
    if tokens.nbytes <= HASHED:
        if file_sha256(path) != meta["tokens_sha256"]:
            raise UserError(f"{path} was changed since it was written: copy it, or {again}.")
        starts: Iterable[int] = range(0, len(tokens), BLOCK)
    else:
        starts = np.linspace(0, len(tokens) - BLOCK, SAMPLES).astype(np.int64).tolist()
    for start in starts:
        check_range(tokens[start : start + BLOCK], meta["vocabulary_size"], str(path))


def _check_sources(folder, sources, again):
    """Refuses a token file whose source is there and has another content."""
    for source in sources:
        path = Path(source.get("path", ""))
        try:
            stat = path.stat() if source.get("path") else None
        except OSError:
            continue  # the corpus is elsewhere, or gone
        if stat is None or (stat.st_size, stat.st_mtime_ns) == (source["size"], source["mtime_ns"]):
            continue
        if stat.st_size == source["size"] and file_sha256(path) == source["sha256"]:
            continue  # a copy of it
        raise UserError(
            f"{path} has changed since it was tokenised into {folder}: remove that folder and {again},"
            " or move the file away to go on with the old tokens."
        )


def _names(sources):
    return ", ".join(str(source.get("path", source.get("reader"))) for source in sources[:3])


def _index_sha256(folder: Path) -> str:
    """One hash of the two arrays of the index."""
    hashes = [file_sha256(folder / name) for name in ("documents.npy", "bytes.npy")]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
