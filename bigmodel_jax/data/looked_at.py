"""Every image of a split is decoded once, before anything is learnt: which are readable, how bright.

<cache>/<fingerprint>/positions.npy   int64 [images], of the readable ones in the reader's split
                      labels.npy      int32 [images]
                      pixels.npy      uint8 [images, size, size, channels], where they are stored
                      meta.json       sums of the pixels, what was unreadable, the hash of the arrays
"""

import contextlib
import hashlib
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.data import tokenized
from bigmodel_jax.data.decoding import Decoder, Geometry, Work
from bigmodel_jax.data.progress import progress
from bigmodel_jax.data.unfinished import new_folder
from bigmodel_jax.errors import UserError

VERSION = 1  # raise it when decoding changes what it gives


class Images(NamedTuple):
    """The readable images of a split.

    Attributes:
        positions: in the reader's split, int64 [images].
        labels: int32 [images].
        pixels: uint8 [images, size, size, channels], memory-mapped; None where they are not stored.
        mean, std: of each channel over all images, brought to their size; 0 to 1.
        unreadable: a sentence for each that is not.
    """

    positions: np.ndarray
    labels: np.ndarray
    pixels: np.ndarray | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    unreadable: list[str]


def look(
    reader: Any,
    split: str,
    positions: np.ndarray,
    geometry: Geometry,
    *,
    stored: bool,
    workers: int,
    data_dir: str,
) -> Images:
    """The images at some positions of a reader's split, from the cache or looked at now."""
    chosen = hashlib.sha256(positions.astype(np.int64).tobytes()).hexdigest()
    origin = {
        "looked_at": VERSION,
        "reader": reader.fingerprint(),
        "split": split,
        "positions": chosen,
        "geometry": geometry,
        "stored": stored,
    }
    path = tokenized.folder(data_dir, tokenized.fingerprint(**origin))
    found = _load(path, stored)
    if found is None:
        with new_folder(path) as part:
            _write(part, reader, split, positions, geometry, stored, workers)
            with contextlib.suppress(
                OSError
            ):  # another process was faster: its arrays are the same
                part.rename(path)
        found = _load(path, stored)
    if found is None:
        raise UserError(f"The cache {path} is damaged: remove it, and it is made anew.")
    return found


def _write(part: Path, reader, split, positions, geometry, stored, workers):
    size, channels, _ = geometry
    labels = np.zeros(len(positions), np.int32)
    sums = np.zeros((2, channels))
    bad: dict[int, str] = {}
    shape = (len(positions), size, size, channels)
    pixels: Any = (
        np.lib.format.open_memmap(part / "all.npy", "w+", np.uint8, shape) if stored else None
    )
    decoder, start = Decoder(Work(reader, split, geometry), workers), 0
    with progress(
        f"Decoding {reader.name} {split}", len(positions), "images", every=10.0
    ) as advance:
        for images, given, unreadable in decoder.stream([positions]):
            labels[start : start + len(images)] = given
            bad |= {start + i: why for i, why in unreadable.items()}
            if stored:
                pixels[start : start + len(images)] = images
            # Of integers: the sums are exact, in whatever order.
            whole = images.reshape(-1, channels).astype(np.int64)
            sums += whole.sum(0), (whole * whole).sum(0)
            start += len(images)
            advance(len(images))
    decoder.close()
    kept = np.setdiff1d(np.arange(len(positions)), list(bad))
    if not len(kept):
        first = f"{reader.place(split, int(positions[0]))}: {bad[0]}"
        raise UserError(f"No image of {reader.name} {split} can be read: {first}.")
    np.save(part / "positions.npy", positions[kept].astype(np.int64))
    np.save(part / "labels.npy", labels[kept])
    if stored and bad:
        np.save(part / "pixels.npy", pixels[kept])
        (part / "all.npy").unlink()
    elif stored:
        pixels.flush()
        (part / "all.npy").rename(part / "pixels.npy")
    count = len(kept) * size * size
    mean = sums[0] / count / 255
    std = np.sqrt(np.maximum(sums[1] / count / 255**2 - mean**2, 0))
    meta = {
        "mean": [round(float(x), 6) for x in mean],
        "std": [round(float(x), 6) for x in std],
        "unreadable": [f"{reader.place(split, int(positions[i]))}: {bad[i]}" for i in sorted(bad)],
        "digest": _digest(part),
    }
    (part / "meta.json").write_text(json.dumps(meta, indent=2))


def _load(path: Path, stored: bool) -> Images | None:
    try:
        meta = json.loads((path / "meta.json").read_text())
        positions, labels = (np.load(path / f"{n}.npy") for n in ("positions", "labels"))
        pixels = np.load(path / "pixels.npy", mmap_mode="r") if stored else None
    except (OSError, ValueError):
        return None
    if meta.get("digest") != _digest(path):
        return None
    std = tuple(x if x > 0 and math.isfinite(x) else 1.0 for x in meta["std"])
    return Images(positions, labels, pixels, tuple(meta["mean"]), std, meta["unreadable"])


def _digest(folder: Path) -> str:
    """sha256 over the arrays: a flipped byte must not train in silence."""
    digest = hashlib.sha256()
    for name in ("positions", "labels", "pixels"):
        path = folder / f"{name}.npy"
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
