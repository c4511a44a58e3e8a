"""Tokenised once: texts become flat arrays of ids on the disk, under a fingerprint of their origin.

<cache>/<fingerprint>/tokens.npy    int32, all texts one after another
                      offsets.npy   int64 [examples + 1]; of pairs [2 * examples + 1]
                      labels.npy    int32 [examples]; float32, or uint8 [examples, classes] (0 or 1)
                      meta.json     what it was made from, and the hash of the arrays
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.data.rows import around
from bigmodel_jax.data.unfinished import new_folder
from bigmodel_jax.errors import UserError

VERSION = 2  # raise it when cleaning or tokenising changes what they return
CHUNK = 4 << 20  # characters that are tokenised at once


class Tokenized(NamedTuple):
    """All examples of a split; the arrays are memory-mapped."""

    tokens: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray


def fingerprint(**origin) -> str:
    """A short name for everything that decides the arrays' content."""
    text = json.dumps({"version": VERSION, **origin}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def folder(data_dir: str | os.PathLike, name: str) -> Path:
    """Where the arrays of that fingerprint lie."""
    return Path(data_dir).expanduser() / "bigmodel_jax_cache" / name


def load(path: Path) -> Tokenized | None:
    """The cached arrays, or None if there are none."""
    try:
        meta = json.loads((path / "meta.json").read_text())
        arrays = [
            np.load(path / f"{n}.npy", mmap_mode="r") for n in ("tokens", "offsets", "labels")
        ]
    except (OSError, ValueError):
        return None
    return Tokenized(*arrays) if meta.get("digest") == _digest(path) else None


def write(
    path: Path,
    examples: Iterable[Mapping],
    tokenizer,
    origin: Mapping,
    where: str,
    label_dtype=np.int32,
    as_label: Callable[[Any], Any] = lambda label: label,
) -> Tokenized:
    """Encodes `{"text", "label"}` examples and stores them; appears by one rename.

    With a "pair" an example is two texts, of which the second begins as `encode` has it.

    Args:
        as_label: from an example's "label" to what is stored, a number or an array; asked when it is
            written, so that no more than one array is held.

    Raises:
        UserError: no examples, or a text without a single token in all of them; `where` names them.
    """
    with new_folder(path) as part:
        lengths, count, shape = [], 0, ()
        with open(part / "flat.bin", "wb") as flat, open(part / "labels.bin", "wb") as labels:
            for chunk in _chunks(examples):
                texts = [(x["text"], x["pair"]) if "pair" in x else (x["text"],) for x in chunk]
                for ids in encode(tokenizer, texts):
                    flat.write(ids.tobytes())
                    lengths.append(len(ids))
                for example in chunk:
                    given = np.asarray(as_label(example["label"]), label_dtype)
                    labels.write(given.tobytes())
                    count, shape = count + 1, given.shape
        alone = len(around(tokenizer, True).between) if len(lengths) > count else 0
        if sum(lengths) == count * alone:  # nothing, or nothing but separators
            raise UserError(f"{where} holds no text to learn from: {count} empty examples.")
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        tokens = np.memmap(part / "flat.bin", np.int32, "r")
        np.save(part / "tokens.npy", tokens)
        np.save(part / "offsets.npy", offsets)
        given = np.memmap(part / "labels.bin", label_dtype, "r", shape=(count, *shape))
        np.save(part / "labels.npy", given)
        for name in ("flat.bin", "labels.bin"):
            (part / name).unlink()
        meta = {"examples": count, "tokens": len(tokens), "digest": _digest(part)}
        (part / "meta.json").write_text(json.dumps({**meta, "origin": dict(origin)}, indent=2))
        if path.is_dir() and load(path) is None:
            print(f"The cache {path} was damaged, and is made anew.", flush=True)
            shutil.rmtree(path)
        with contextlib.suppress(OSError):  # another process was faster: its arrays are the same
            part.rename(path)
    loaded = load(path)
    if loaded is None:
        raise UserError(f"The cache {path} cannot be written or read.")
    return loaded


def encode(tokenizer, texts: Sequence[tuple[str, ...]]) -> list[np.ndarray]:
    """The ids of texts `(text,)`, each int32 [length]; of pairs `(text, other)`, two arrays each.

    The second of a pair begins with what stands between the two (rows.py:around).
    """
    flat = [part for text in texts for part in text]
    if hasattr(tokenizer, "encode_batch"):
        ids = tokenizer.encode_batch(flat)
    else:
        ids = [np.asarray(tokenizer.encode(part), np.int32) for part in flat]
    if len(flat) == len(texts):
        return ids
    between = np.array(around(tokenizer, pairs=True).between, np.int32)
    second = [i for text in texts for i in range(len(text))]
    return [np.append(between, x) if i else x for i, x in zip(second, ids, strict=True)]


def _chunks(examples: Iterable[Mapping]) -> Iterator[list[Mapping]]:
    """Lists of as many examples as have about CHUNK characters."""
    chunk, size = [], 0
    for example in examples:
        chunk.append(example)
        size += len(example["text"]) + len(example.get("pair", ""))
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _digest(folder):
    """sha256 over the three arrays: a flipped byte must not train in silence."""
    digest = hashlib.sha256()
    for name in ("tokens", "offsets", "labels"):
        with open(folder / f"{name}.npy", "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
