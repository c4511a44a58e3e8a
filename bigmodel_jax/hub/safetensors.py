"""The file format of published parameters: a JSON header, then the bytes of all tensors.

    8 bytes      the length n of the header, little-endian
    n bytes      {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
                  "__metadata__": {"format": "pt"}}
    the rest     the tensors, row by row, without gaps

A file is checked whole before an array is read, and nothing of it is ever executed. Tensors are views
of the mapped file: what nobody reads takes no memory. (The format: huggingface/safetensors.)
"""

import json
import math
import mmap
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from bigmodel_jax.errors import UserError

DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LONGEST = 100_000_000  # bytes of a header, the format's own limit
SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors")  # a file of the same folder


class Entry(NamedTuple):
    """Where a tensor lies; `begin` counts from the first byte of the file."""

    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class File:
    """An open file. `entries` are its tensors by name, in the order in which they lie.

    Raises:
        UserError: it is cut short, or no such file, or its header contradicts itself.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                self.entries = _parse(path, file, size)
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}.") from error

    def view(self, name: str) -> np.ndarray:
        """A tensor as a read-only view of the file."""
        entry = self.entries[name]
        count = math.prod(entry.shape)
        flat = np.frombuffer(self._map, entry.dtype, count, entry.begin)
        return flat.reshape(entry.shape)

    def forget(self, name: str) -> None:
        """Takes the pages of a tensor that was read out of this process's memory."""
        entry = self.entries[name]
        first = entry.begin - entry.begin % mmap.PAGESIZE
        if hasattr(mmap, "MADV_DONTNEED") and entry.size:
            self._map.madvise(mmap.MADV_DONTNEED, first, entry.begin + entry.size - first)


def open_folder(folder: Path) -> dict[str, File]:
    """The file that each tensor of a published model is in, by the tensor's name.

    `folder` holds model.safetensors, or model.safetensors.index.json and the files that it names.

    Raises:
        UserError: there is neither, or a file is missing or damaged, or the index and the files do
            not agree.
    """
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        return _open_shards(index)
    if single.is_file():
        file = File(single)
        return dict.fromkeys(file.entries, file)
    other = [p.name for p in sorted(folder.glob("*.safetensors"))]
    pickled = [
        p.name for p in (*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.ckpt"))
    ]
    hint = f" There is {other[0]}: rename it to model.safetensors." if other else ""
    if pickled and not other:
        hint = (
            f" {pickled[0]} is a pickle, which may run any code and is never opened: where it is to "
            "be trusted, save it anew with transformers' save_pretrained."
        )
    raise UserError(f"{folder} holds no model.safetensors.{hint}")


def _open_shards(index: Path) -> dict[str, File]:
    places = _read_index(index)
    files: dict[str, File] = {}
    for name in sorted(set(places.values())):
        if not (index.parent / name).is_file():
            raise UserError(f"{index} names the file {name}, which is not there.")
        files[name] = File(index.parent / name)
    for tensor, name in places.items():
        if tensor not in files[name].entries:
            raise UserError(f"{index} says that {tensor} is in {name}, but it is not.")
    for name, file in files.items():
        for tensor in file.entries:
            if places.get(tensor) != name:
                where = f"in {places[tensor]}" if tensor in places else "nowhere"
                raise UserError(f"{name} holds {tensor}, which is {where} by {index}.")
    return {tensor: files[name] for tensor, name in places.items()}


def _read_index(index: Path) -> dict[str, str]:
    """File names by tensor."""
    try:
        content = json.loads(index.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{index} is not the JSON of an index: {error}.") from error
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places:
        raise UserError(f'{index} has no "weight_map" of tensors and files.')
    for tensor, name in places.items():
        if not isinstance(name, str) or not SHARD.fullmatch(name):
            raise UserError(
                f"{index}: {tensor} is in {name!r}, which is no file beside it: a plain name that "
                "ends in .safetensors."
            )
    return places


def _parse(path: Path, file, size: int) -> dict[str, Entry]:
    if size < 8:
        raise UserError(f"{path} is cut short: of {size} bytes, and its first 8 are a length.")
    length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, LONGEST):
        raise UserError(
            f"{path} is cut short or no safetensors file: its header is of {length:,} bytes, and the "
            f"file has {size - 8:,} more."
        )
    try:
        header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise UserError(f"The header of {path} is no JSON: {error}.") from error
    if not isinstance(header, dict):
        raise UserError(f"The header of {path} is no table of tensors.")
    header.pop("__metadata__", None)
    entries = {name: _entry(path, name, given, 8 + length) for name, given in header.items()}
    entries = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].size)))
    at = 8 + length
    for name, entry in entries.items():
        if entry.begin != at:
            what = "overlaps the tensor before it" if entry.begin < at else "has a gap before it"
            raise UserError(f"The header of {path} is damaged: {name} {what}.")
        at += entry.size
    if at > size:
        raise UserError(f"{path} is cut short: {size:,} bytes of {at:,}.")
    if at < size:
        raise UserError(f"{path} has {size - at:,} bytes behind its last tensor.")
    return entries


def _entry(path, name, given, start) -> Entry:
    """The entry of a header as it stands there, each of its fields checked."""

    def check(good, what):
        if not good:
            raise UserError(f"The header of {path} is damaged: {name} {what}.")

    check(isinstance(given, dict), "is no table")
    check({*given} == {"dtype", "shape", "data_offsets"}, "has not the fields of a tensor")
    dtype, shape, offsets = given["dtype"], given["shape"], given["data_offsets"]
    check(
        isinstance(dtype, str) and dtype in DTYPES,
        f"has the dtype {dtype!r}, and there are {', '.join(DTYPES)}",
    )
    check(_counts(shape), f"has the shape {shape!r}")
    check(_counts(offsets) and len(offsets) == 2, f"has the offsets {offsets!r}")
    entry = Entry(DTYPES[dtype], tuple(shape), start + offsets[0])
    check(
        offsets[1] - offsets[0] == entry.size,
        f"has {offsets[1] - offsets[0]:,} bytes, and its shape {shape} and dtype {dtype} take "
        f"{entry.size:,}",
    )
    return entry


def _counts(value) -> bool:
    return isinstance(value, list) and all(type(x) is int and 0 <= x < 2**62 for x in value)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no key comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} comes twice")
    return found


class Writer:
    """Writes a file of tensors whose shapes are known before the first of them is there.

    Args:
        entries: (dtype, shape) by name; they are written in this order.
    """

    def __init__(self, path: Path, entries: Mapping[str, tuple[np.dtype, Sequence[int]]]):
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        self._left, at = [], 0
        for name, (dtype, shape) in entries.items():
            size = math.prod(shape) * np.dtype(dtype).itemsize
            header[name] = {
                "dtype": NAMES[np.dtype(dtype)],
                "shape": list(shape),
                "data_offsets": [at, at + size],
            }
            at += size
            self._left.append((name, np.dtype(dtype), tuple(shape)))
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # so that tensors are aligned
        self._file = open(path, "wb")  # noqa: SIM115 - until close
        self._file.write(len(text).to_bytes(8, "little") + text)

    def write(self, arrays: Iterable[np.ndarray]) -> None:
        """The next tensors, each as announced."""
        for array in arrays:
            name, dtype, shape = self._left.pop(0)
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(f"{name} is {array.dtype}{array.shape}, not {dtype}{shape}")
            self._file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def close(self) -> None:
        """Flushes the file to the disk."""
        if self._left:
            raise ValueError(f"{self._left[0][0]} was not written")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
