"""Tokenised once: texts become flat arrays of ids on the disk, under a fingerprint of their origin.

<cache>/<fingerprint>/tokens.npy    int32, all texts one after another
                      offsets.npy   int64 [examples + 1]
                      labels.npy    int32 [examples]
                      meta.json     what it was made from, and the hash of the arrays
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bigmodel_jax.errors import UserError

VERSION = 1  # raise it when cleaning or tokenising changes what they return


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
    path: Path, examples: Iterable[Mapping], tokenizer, origin: Mapping, where: str
) -> Tokenized:
    """Encodes `{"text", "label"}` examples one by one and stores them; appears by one rename.

    Raises:
        UserError: no examples, or a text without a single token in all of them; `where` names them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{path.name}.", suffix=".unfinished", dir=path.parent))
    try:
        lengths, labels = [], []
        with open(part / "flat.bin", "wb") as flat:
            for example in examples:
                ids = np.asarray(tokenizer.encode(example["text"]), np.int32)
                flat.write(ids.tobytes())
                lengths.append(len(ids))
                labels.append(example["label"])
        if not sum(lengths):
            raise UserError(f"{where} holds no text to learn from: {len(lengths)} empty examples.")
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        tokens = np.memmap(part / "flat.bin", np.int32, "r")
        np.save(part / "tokens.npy", tokens)
        np.save(part / "offsets.npy", offsets)
        np.save(part / "labels.npy", np.asarray(labels, np.int32))
        (part / "flat.bin").unlink()
        meta = {"examples": len(lengths), "tokens": len(tokens), "digest": _digest(part)}
        (part / "meta.json").write_text(json.dumps({**meta, "origin": dict(origin)}, indent=2))
        if path.is_dir() and load(path) is None:
            print(f"The cache {path} was damaged, and is made anew.", flush=True)
            shutil.rmtree(path)
        with contextlib.suppress(OSError):  # another process was faster: its arrays are the same
            part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    loaded = load(path)
    if loaded is None:
        raise UserError(f"The cache {path} cannot be written or read.")
    return loaded


def _digest(folder):
    """sha256 over the three arrays: a flipped byte must not train in silence."""
    digest = hashlib.sha256()
    for name in ("tokens", "offsets", "labels"):
        with open(folder / f"{name}.npy", "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
