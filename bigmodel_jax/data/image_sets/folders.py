"""Class folders of image files, on the disk or in an archive: [SPLIT/]CLASS/NAME.jpg.

Without labels image files may lie anywhere, or anywhere below the folders of splits.

A zip or an uncompressed tar is read where it is, at random; nothing is ever extracted.
"""

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.data.layout import SPLITS
from bigmodel_jax.data.pixels import Unreadable
from bigmodel_jax.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
ARCHIVES = (".zip", ".tar")
UNLABELLED = "image"


class Entry(NamedTuple):
    """A file: its name from the root, its bytes, and what tells a changed content where that is cheap."""

    name: str
    size: int
    check: str


class Item(NamedTuple):
    """An image file and its label."""

    name: str
    size: int
    check: str
    label: int


class Set:
    """See image_sets. `items` are the files of each split, by class and name."""

    def __init__(self, path: Path, labelled: bool = True):
        self.name, self.path = path.resolve().name.partition(".")[0], path
        entries = list(_entries(path))
        images = [e for e in entries if PurePosixPath(e.name).suffix.lower() in EXTENSIONS]
        if not images:
            raise UserError(
                f"{path} holds no images: there must be class folders, CLASS/NAME.jpg, or "
                f"train/CLASS/NAME.jpg; of the kinds {', '.join(EXTENSIONS)}."
            )
        self.label_names, self.items = _sorted_out(path, images, labelled)
        self.labels = {
            split: np.array([item.label for item in items], np.int32)
            for split, items in self.items.items()
        }
        if ignored := len(entries) - len(images):
            print(f"NOTE: {ignored:,} files in {path} are no images, and not read.", flush=True)
        self._archive: Any = None

    def identity(self) -> Iterator[str]:
        """Names and sizes, in an archive also a checksum, on the disk also the time of change."""
        for split, items in self.items.items():
            yield from (f"{split} {item}" for item in items)

    def read(self, split: str, i: int) -> bytes:
        name = self.items[split][i].name
        try:
            if self.path.is_dir():
                return (self.path / name).read_bytes()
            if self._archive is None:  # one for each process
                self._archive = _open(self.path)
            if isinstance(self._archive, zipfile.ZipFile):
                return self._archive.read(name)
            return self._archive.extractfile(name).read()
        except (
            Exception
        ) as error:  # an archive's damaged bytes, or its password, raise various ones
            raise Unreadable(f"{type(error).__name__}: {error}") from error

    def place(self, split: str, i: int) -> str:
        return f"{self.path}{'/' if self.path.is_dir() else ': '}{self.items[split][i].name}"

    def __getstate__(self):
        return {**self.__dict__, "_archive": None}


def _open(path: Path):
    return zipfile.ZipFile(path) if path.suffix.lower() == ".zip" else tarfile.open(path, "r:")


def _entries(path: Path) -> Iterator[Entry]:
    """All visible files below a folder or in an archive, in the order of their names."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path).as_posix()
            if file.is_file() and not _hidden(name):
                stat = file.stat()
                yield Entry(name, stat.st_size, str(stat.st_mtime_ns))
        return
    try:
        with _open(path) as archive:
            if isinstance(archive, zipfile.ZipFile):
                found = [
                    Entry(m.filename, m.file_size, f"{m.CRC:08x}")
                    for m in archive.infolist()
                    if not m.is_dir()
                ]
            else:
                found = [Entry(m.name, m.size, str(m.mtime)) for m in archive if m.isfile()]
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise UserError(
            f"{path} cannot be read as an archive ({error}): it is damaged, cut short, or a "
            "compressed tar, which is not read at random: unpack it first."
        ) from error
    seen: set[str] = set()
    for entry in sorted(found):
        parts = PurePosixPath(entry.name).parts
        if ".." in parts or entry.name.startswith(("/", "\\")) or "\\" in entry.name:
            raise UserError(f"{path} has an entry that points outside of it: {entry.name!r}.")
        if entry.name in seen:
            raise UserError(f"{path} has two entries of the name {entry.name!r}.")
        seen.add(entry.name)
        if not _hidden(entry.name):
            yield entry


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _sorted_out(
    path: Path, images: list[Entry], labelled: bool
) -> tuple[tuple[str, ...], dict[str, list[Item]]]:
    """(classes, files by split); a folder that holds everything is looked into.

    Without labels the one class is UNLABELLED.
    """
    parts = [PurePosixPath(image.name).parts for image in images]
    depth, below = 0, 1 + labelled  # what a split's folder has below it: a file, in a class folder
    while len({p[depth] for p in parts}) == 1 and all(len(p) > depth + below for p in parts):
        if parts[0][depth] in SPLITS:
            break
        depth += 1
    by_split = all(p[depth] in SPLITS and len(p) > depth + below for p in parts)
    named = {p[depth] for p in parts} & set(SPLITS)
    if named and not by_split and len(named) > 1:
        other = next(i.name for i, p in zip(images, parts, strict=True) if p[depth] not in SPLITS)
        raise UserError(
            f"{path} has folders of splits ({', '.join(sorted(named))}), but {other} lies in none of "
            f"them{', or in no class folder of one' * labelled}."
        )
    found: dict[str, list[tuple[Entry, str]]] = {}
    for image, part in zip(images, parts, strict=True):
        if labelled and len(part) < depth + 2 + by_split:
            raise UserError(
                f"{path}: the image {image.name} lies in no class folder. To pretrain without labels: "
                "config.data.reader.labelled=False."
            )
        split = SPLITS[part[depth]] if by_split else "train"
        label = part[depth + by_split] if labelled else UNLABELLED
        found.setdefault(split, []).append((image, label))
    if "train" not in found:
        raise UserError(f"{path} holds no folder train, only {', '.join(sorted(found))}.")
    names: tuple[str, ...] = tuple(sorted({label for _, label in found["train"]}))
    for split, items in found.items():
        if unknown := sorted({label for _, label in items} - set(names)):
            raise UserError(
                f"{path}: the {split} split has the class {unknown[0]!r}, which the train split has "
                f"not; there are {', '.join(names[:10])}{', ...' * (len(names) > 10)}."
            )
    if labelled and len(names) < 2:
        raise UserError(
            f"{path} has the one class {', '.join(names)}: there is nothing to tell apart."
        )
    ids = {name: i for i, name in enumerate(names)}
    return names, {
        split: [Item(*entry, ids[label]) for entry, label in items]
        for split, items in found.items()
    }
