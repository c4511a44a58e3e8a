"""The hashes of texts, by which "train[hash :90%]" cuts: found once for a split, then remembered.

<cache>/hashes-<fingerprint>.npz holds "hashes", int64 [examples], of a split in the reader's order.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from bigmodel_jax.data import tokenized
from bigmodel_jax.data.progress import progress
from bigmodel_jax.data.readers import texts_of
from bigmodel_jax.data.unfinished import new_file

VERSION = 1  # raise it when `text_hash` or what is hashed changes


def split_hashes(reader, split: str, data_dir: str | os.PathLike) -> np.ndarray:
    """The hash of each example of a reader's split, int64 [examples]; reads its texts once for all."""
    name = tokenized.fingerprint(hashes=VERSION, reader=reader.fingerprint(), split=split)
    path, count = tokenized.folder(data_dir, f"hashes-{name}.npz"), reader.splits[split]
    found = _load(path, count)
    if found is None:
        found = np.fromiter(_hashed(reader.examples(split), count), np.int64, count)
        with new_file(path) as file:
            np.savez(file, hashes=found)
    return found


def text_hash(texts: Sequence[str]) -> int:
    """62 bits of a text, or of a pair of texts, the same everywhere."""
    data = "\0".join(texts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") >> 2


def text_hashes(texts: Sequence[Sequence[str]]) -> np.ndarray:
    """The same of texts in memory, int64 [texts]."""
    return np.array([text_hash(text) for text in texts], np.int64)


def _hashed(examples: Iterable[Mapping], total: int) -> Iterator[int]:
    """The hashes of examples; shows how many of all are done."""
    with progress("Hashing texts", total, "texts", every=20.0) as advance:
        for example in examples:
            yield text_hash(texts_of(example))
            advance(1)


def _load(path: Path, count: int) -> np.ndarray | None:
    """The hashes of a file, or None where it is not there, damaged (zip has a checksum), or other."""
    try:
        with path.open("rb") as file, np.load(file) as saved:
            found = saved["hashes"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile):
        # A flipped byte may name a compression that zipfile does not know: the last but one.
        found = np.zeros(0)
    if found.dtype == np.int64 and found.shape == (count,):
        return found
    print(f"The cache {path} was damaged, and is made anew.", flush=True)
    return None
