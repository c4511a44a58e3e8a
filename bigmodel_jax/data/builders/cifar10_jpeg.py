"""CIFAR-10 (Krizhevsky 2009) as an image folder of JPEG files: a copy that lost a little of each image.

Results on it are not those on CIFAR-10 itself, so it has a name of its own.
"""

import collections
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow_datasets as tfds

from bigmodel_jax.data.array_record import ArrayRecordBuilder
from bigmodel_jax.data.image_sets import folders
from bigmodel_jax.errors import UserError

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
COUNTS = {"train": 50_000, "test": 10_000}


class Builder(ArrayRecordBuilder, skip_registration=True):
    """ "image", 32 x 32 x 3 as JPEG, and "label"; splits train of 50,000, test of 10,000."""

    name = "cifar10_jpeg"
    VERSION = tfds.core.Version("1.0.0")
    URL = "https://www.cs.toronto.edu/~kriz/cifar.html"  # the original, which has no JPEG files
    SIZE, SHA256 = None, None  # it is not downloaded
    EXAMPLES = sum(COUNTS.values())
    SOURCES = "cifar10_jpeg.zip or the folder extracted from it, {train,test}/CLASS/NAME.jpg"

    def __init__(
        self,
        *,
        data_dir: str,
        source: Path,
        progress: Callable[[int], None] = lambda n: None,
        counts: Mapping[str, int] = COUNTS,
    ):
        self._source, self._progress, self._counts = Path(source), progress, counts
        super().__init__(data_dir=data_dir)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Small images of ten kinds of things, as JPEG.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(32, 32, 3), encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=list(CLASSES)),
                }
            ),
            supervised_keys=("image", "label"),
            homepage=self.URL,
        )

    def _split_generators(self, dl_manager):
        found = folders.Set(self._source)
        for split, count in self._counts.items():
            if len(found.items.get(split, ())) != count:
                raise UserError(
                    f"{self._source} holds {len(found.items.get(split, ())):,} images in {split}, not "
                    f"{count:,}: it is not the whole of {self.name}. Nothing was prepared."
                )
        if unknown := set(found.label_names) - set(CLASSES):
            raise UserError(f"{self._source} has classes that CIFAR-10 has not: {sorted(unknown)}.")
        return {split: self._generate_examples(found, split) for split in self._counts}

    def _generate_examples(self, found, split):
        seen = collections.Counter()
        for i, item in enumerate(found.items[split]):
            label = found.label_names[item.label]
            seen[label] += 1
            self._progress(1)
            yield item.name, {"image": io.BytesIO(found.read(split, i)), "label": label}
