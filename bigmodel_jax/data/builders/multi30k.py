"""Multi30k (Elliott et al. 2016), task 1: descriptions of pictures in English, German and French.

Published as a file for each part and language, `train.en.gz` and so on, a sentence a line; the lines
of one number say the same.
"""

import gzip
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow_datasets as tfds

from bigmodel_jax.data.array_record import ArrayRecordBuilder
from bigmodel_jax.data.lines import decode
from bigmodel_jax.errors import UserError

LANGUAGES = ("en", "de", "fr")
# Our split: (what the files are called, how many sentences).
PARTS = {
    "train": ("train", 29_000),
    "validation": ("val", 1_014),
    "test_2016_flickr": ("test_2016_flickr", 1_000),
    "test_2017_flickr": ("test_2017_flickr", 1_000),
    "test_2017_mscoco": ("test_2017_mscoco", 461),
    "test_2018_flickr": ("test_2018_flickr", 1_071),
}


class Builder(ArrayRecordBuilder, skip_registration=True):
    """Sentences "en", "de" and "fr" in the splits of PARTS."""

    name = "multi30k"
    VERSION = tfds.core.Version("1.0.0")
    URL = "https://github.com/multi30k/dataset"
    SIZE, SHA256 = None, None  # of no single file: it is not downloaded
    EXAMPLES = sum(count for _, count in PARTS.values())
    SOURCES = "the folder with train.en.gz, train.de.gz, val.en.gz, test_2016_flickr.en.gz, ..."

    def __init__(
        self,
        *,
        data_dir: str,
        source: Path,
        progress: Callable[[int], None] = lambda n: None,
        parts: Mapping[str, tuple[str, int]] = PARTS,
    ):
        self._source, self._progress, self._parts = Path(source), progress, parts
        super().__init__(data_dir=data_dir)

    def _info(self):
        texts = {language: tfds.features.Text() for language in LANGUAGES}
        return tfds.core.DatasetInfo(
            builder=self,
            description="Descriptions of pictures, each in English, German and French.",
            features=tfds.features.FeaturesDict(texts),
            homepage=self.URL,
        )

    def _split_generators(self, dl_manager):
        # All are read before anything is written: an incomplete folder is refused at once.
        read = {split: self._read(*part) for split, part in self._parts.items()}
        return {split: self._generate_examples(split, rows) for split, rows in read.items()}

    def _read(self, name: str, count: int) -> dict[str, list[str]]:
        found = {language: lines(self._source, f"{name}.{language}") for language in LANGUAGES}
        for language, sentences in found.items():
            if len(sentences) != count:
                raise UserError(
                    f"{self._source}: {name}.{language} has {len(sentences):,} lines, not the {count:,} "
                    "published: it is not the whole of Multi30k. Nothing was prepared."
                )
        return found

    def _generate_examples(self, split, rows):
        for i, sentences in enumerate(zip(*rows.values(), strict=True)):
            self._progress(1)
            yield f"{split}/{i:05d}", dict(zip(rows, sentences, strict=True))


def lines(folder: Path, name: str) -> list[str]:
    """The sentences of a file, compressed or not.

    Raises:
        UserError: it is not there, or cannot be read.
    """
    packed, plain = folder / f"{name}.gz", folder / name
    path = packed if packed.is_file() else plain
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path is packed else content
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read ({error}): --from is {Builder.SOURCES}. Nothing was prepared."
        ) from error
    text = decode(content, str(path))
    return [line.strip() for line in text.removesuffix("\n").split("\n")]
