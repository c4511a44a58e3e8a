"""MNIST (LeCun et al. 1998): handwritten digits, published as four idx files."""

import io
from collections.abc import Callable
from pathlib import Path

import tensorflow_datasets as tfds
from PIL import Image

from bigmodel_jax.data.array_record import ArrayRecordBuilder
from bigmodel_jax.data.image_sets import idx

COUNTS = {"train": 60_000, "test": 10_000}


class Builder(ArrayRecordBuilder, skip_registration=True):
    """ "image", 28 x 28 in gray as PNG, and "label"; splits train of 60,000, test of 10,000."""

    name = "mnist"
    VERSION = tfds.core.Version("3.0.1")
    URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    SIZE, SHA256 = None, None  # of no single file: it is not downloaded
    EXAMPLES = sum(COUNTS.values())
    SOURCES = "the folder with train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-..."

    def __init__(
        self,
        *,
        data_dir: str,
        source: Path,
        progress: Callable[[int], None] = lambda n: None,
        counts: dict[str, int] | None = None,
    ):
        self._source, self._progress, self._counts = Path(source), progress, counts or COUNTS
        super().__init__(data_dir=data_dir)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Handwritten digits.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(28, 28, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="http://yann.lecun.com/exdb/mnist/",
        )

    def _split_generators(self, dl_manager):
        # All are read before anything is written: an incomplete folder is refused at once.
        found = idx.read(self._source)
        idx.check_counts(found, self._counts, self._source)
        return {split: self._generate_examples(split, *found[split]) for split in self._counts}

    def _generate_examples(self, split, images, labels):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            encoded = io.BytesIO()
            Image.fromarray(image).save(encoded, "PNG")
            encoded.seek(0)  # tfds takes a file; an array it would hand to TensorFlow
            self._progress(1)
            yield f"{split}/{i:05d}", {"image": encoded, "label": int(label)}
