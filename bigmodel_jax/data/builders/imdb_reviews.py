"""IMDB Large Movie Review Dataset (Maas et al., 2011), prepared without TensorFlow.

The builder that comes with tfds reads archives through TensorFlow; this one uses the standard
`tarfile`. Texts, labels and the order of the examples are those of tfds's own `imdb_reviews`;
the unlabelled reviews are left out. An archive and the folder extracted from it give the same
files, bit for bit.
"""

import collections
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import tensorflow_datasets as tfds

from bigmodel_jax.data.array_record import ArrayRecordBuilder
from bigmodel_jax.errors import UserError

COUNTS = {
    ("train", "neg"): 12_500,
    ("train", "pos"): 12_500,
    ("test", "neg"): 12_500,
    ("test", "pos"): 12_500,
}
_REVIEW = re.compile(r"(?:.*/)?(train|test)/(neg|pos)/(\d+_\d+)\.txt")


class Builder(ArrayRecordBuilder, skip_registration=True):
    """Reviews with "text" and "label" (0 neg, 1 pos); splits train and test of 25,000 each."""

    name = "imdb_reviews"
    VERSION = tfds.core.Version("1.0.0")
    URL = "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
    SIZE = 84_125_825
    SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fe7008942e91923d1658fe0"
    EXAMPLES = sum(COUNTS.values())
    SOURCES = "aclImdb_v1.tar.gz, aclImdb.tar.xz or the folder extracted from one"

    def __init__(
        self,
        *,
        data_dir: str,
        source: Path,
        progress: Callable[[int], None] = lambda n: None,
        counts: Mapping[tuple[str, str], int] = COUNTS,
    ):
        self._source, self._progress, self._counts = Path(source), progress, counts
        super().__init__(data_dir=data_dir)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="IMDB movie reviews: neg up to 4 of 10 stars, pos from 7.",
            features=tfds.features.FeaturesDict(
                {
                    "text": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(names=["neg", "pos"]),
                }
            ),
            supervised_keys=("text", "label"),
            homepage="http://ai.stanford.edu/~amaas/data/sentiment/",
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split):
        """Yields (key, example) of one split, then checks its counts."""
        seen = collections.Counter()
        for review_split, label, name, raw in reviews(self._source):
            if review_split != split:
                continue
            key = f"aclImdb/{split}/{label}/{name}.txt"
            try:
                text = raw.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                raise UserError(f"{self._source}: {key} is not UTF-8 ({error}).") from error
            seen[split, label] += 1
            self._progress(1)
            yield key, {"text": text, "label": label}
        check_counts(seen, {k: n for k, n in self._counts.items() if k[0] == split}, self._source)


def check_counts(seen: Mapping, expected: Mapping, source) -> None:
    """Raises a UserError that says which split and class has too many or too few reviews."""
    for (split, label), count in expected.items():
        if seen.get((split, label), 0) != count:
            raise UserError(
                f"{source} holds {seen.get((split, label), 0):,} reviews in {split}/{label}, not "
                f"the {count:,} published: it is not the whole IMDB set. Nothing was prepared."
            )


def reviews(source: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """Yields (split, label, "ID_STARS", content) from an archive or an extracted folder."""
    if source.is_dir():
        root = source / "aclImdb" if (source / "aclImdb").is_dir() else source
        for split, label in COUNTS:
            for path in sorted((root / split / label).glob("*.txt")):
                if _REVIEW.fullmatch(path.as_posix()):
                    yield split, label, path.stem, path.read_bytes()
        return
    try:
        # "r|*" reads from end to end without seeking back, which is slow in a compressed file.
        with tarfile.open(source, "r|*") as archive:
            for member in archive:
                match = _REVIEW.fullmatch(member.name)
                content = archive.extractfile(member) if match else None
                if match and content:
                    split, label, name = match.groups()
                    yield split, label, name, content.read()
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        raise UserError(
            f"{source} cannot be read as a tar archive ({error}): it is damaged, cut short, or not "
            f"{Builder.SOURCES}."
        ) from error
