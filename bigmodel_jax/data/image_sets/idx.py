"""The idx files of MNIST and its likes: images and labels of a split in a file each."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bigmodel_jax.errors import UserError

PREFIXES = {"train": "train", "test": "t10k"}
Arrays = tuple[np.ndarray, np.ndarray]  # images uint8 [N, H, W], labels uint8 [N]


class Set:
    """See image_sets. The images are held in memory."""

    def __init__(self, path: Path):
        self.name, self._path = path.resolve().name, path
        self._found = read(path)
        self.labels = {k: y.astype(np.int32) for k, (_, y) in self._found.items()}
        classes = 1 + max(int(y.max()) for y in self.labels.values())
        self.label_names = tuple(map(str, range(classes)))

    def identity(self) -> Iterator[str]:
        for split, arrays in self._found.items():
            for array in arrays:
                yield f"{split} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"

    def read(self, split: str, i: int) -> np.ndarray:
        return self._found[split][0][i]

    def place(self, split: str, i: int) -> str:
        return f"{self._path}: image {i} of {split}"


def is_here(path: Path) -> bool:
    """Whether a folder holds such files."""
    return path.is_dir() and _file(path, "train-images", 3) is not None


def read(folder: Path) -> dict[str, Arrays]:
    """The arrays of each split that is there.

    Raises:
        UserError: a file is missing, cut short, or no idx file; images and labels are not as many.
    """
    found = {}
    for split, prefix in PREFIXES.items():
        images, labels = _file(folder, f"{prefix}-images", 3), _file(folder, f"{prefix}-labels", 1)
        if images is None and labels is None and split != "train":
            continue
        for path, what in ((images, "images-idx3"), (labels, "labels-idx1")):
            if path is None:
                raise UserError(f"{folder} holds no {prefix}-{what}-ubyte.gz.")
        x, y = _array(images, 3), _array(labels, 1)
        if len(x) != len(y):
            raise UserError(f"{images} has {len(x):,} images, {labels} has {len(y):,} labels.")
        found[split] = x, y
    return found


def check_counts(found: Mapping[str, Arrays], expected: Mapping[str, int], source: Path) -> None:
    """Raises a UserError for a split that has not as many images as published."""
    for split, count in expected.items():
        has = len(found[split][0]) if split in found else 0
        if has != count:
            raise UserError(
                f"{source} holds {has:,} images in {split}, not the {count:,} published: it is not the "
                "whole set. Nothing was prepared."
            )


def _file(folder: Path, stem: str, dims: int) -> Path | None:
    names = [f"{stem}{dot}idx{dims}-ubyte{end}" for dot in "-." for end in (".gz", "")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _array(path, dims: int) -> np.ndarray:
    """The bytes of a file as its header says: 0, 0, 8 (uint8), dims, then the sizes as uint32."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}).") from error
    header = 4 + 4 * dims
    if content[:4] != bytes((0, 0, 8, dims)) or len(content) < header:
        raise UserError(f"{path} is no idx file of bytes in {dims} dimensions.")
    shape = tuple(np.frombuffer(content[4:header], ">u4").tolist())
    if len(content) - header != np.prod(shape, dtype=np.int64):
        raise UserError(
            f"{path} should hold {' x '.join(map(str, shape))} bytes behind its header, and holds "
            f"{len(content) - header:,}: it is cut short, or damaged."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
