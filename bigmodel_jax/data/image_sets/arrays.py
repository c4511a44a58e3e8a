"""Images and labels as NumPy arrays in one .npz file, as Keras and MedMNIST lay them out."""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bigmodel_jax.errors import UserError

# Names of (images, labels) by split.
LAYOUTS = (
    {
        "train": ("x_train", "y_train"),
        "validation": ("x_val", "y_val"),
        "test": ("x_test", "y_test"),
    },
    {
        "train": ("train_images", "train_labels"),
        "validation": ("val_images", "val_labels"),
        "test": ("test_images", "test_labels"),
    },
    {"train": ("images", "labels")},
)
FEW = 1000  # classes that there may well be


class Set:
    """See image_sets. The images are held in memory."""

    def __init__(self, path: Path):
        self.name, self._path = path.stem, path
        try:
            with np.load(path) as held:  # no pickles: it refuses arrays of objects
                layout = _layout(path, held.files)
                found = {split: (held[x], held[y]) for split, (x, y) in layout.items()}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} cannot be read ({error}).") from error
        self._images, self.labels = {}, {}
        for split, (images, labels) in found.items():
            self._images[split], self.labels[split] = _checked(path, split, images, labels)
        classes = 1 + max(int(y.max()) for y in self.labels.values())
        self.label_names = tuple(map(str, range(classes)))

    def identity(self) -> Iterator[str]:
        for split in self.labels:
            for array in (self._images[split], self.labels[split]):
                content = hashlib.sha256(array.tobytes()).hexdigest()
                yield f"{split} {array.shape} {content}"

    def read(self, split: str, i: int) -> np.ndarray:
        return self._images[split][i]

    def place(self, split: str, i: int) -> str:
        return f"{self._path}: image {i} of {split}"


def _layout(path: Path, names: list[str]) -> Mapping[str, tuple[str, str]]:
    for layout in LAYOUTS:
        present = {k: pair for k, pair in layout.items() if set(pair) <= set(names)}
        if "train" in present:
            return present
    wanted = ", or ".join(" and ".join(layout["train"]) for layout in LAYOUTS)
    raise UserError(f"{path} holds the arrays {', '.join(names)}; needed are {wanted}.")


def _checked(path: Path, split: str, images, labels) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as bytes, labels as int32.

    Raises:
        UserError: they are of another kind, or not as many as the others.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or (labels < 0).any():
        raise UserError(
            f"{path}: the labels of {split} are {labels.dtype} {labels.shape}; they must be one whole "
            "number, 0 or more, for each image."
        )
    if (
        images.dtype != np.uint8
        or images.ndim not in (3, 4)
        or images.shape[3:] not in ((), (1,), (3,))
    ):
        raise UserError(
            f"{path}: the images of {split} are {images.dtype} {images.shape}; they must be uint8 "
            "[images, height, width], perhaps with 1 or 3 channels last."
        )
    if len(images) != len(labels) or not len(images):
        raise UserError(f"{path}: {split} has {len(images):,} images and {len(labels):,} labels.")
    if (largest := int(labels.max())) >= max(FEW, 10 * len(labels)):
        raise UserError(
            f"{path}: {split} has {len(labels):,} images, and a label {largest:,}; labels number the "
            "classes from 0 on."
        )
    return images, labels.astype(np.int32)
