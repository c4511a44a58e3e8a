"""Tiny Shakespeare (Karpathy, 2015): 40,000 lines of plays, for language models of characters.

Split as nanoGPT does: the first 90% of the characters are train, the rest is validation; each split
is one document.
"""

from collections.abc import Callable
from pathlib import Path

import tensorflow_datasets as tfds

from bigmodel_jax.data.array_record import ArrayRecordBuilder
from bigmodel_jax.data.lines import decode
from bigmodel_jax.errors import UserError


class Builder(ArrayRecordBuilder, skip_registration=True):
    """One "text" in each of the splits train and validation."""

    name = "tinyshakespeare"
    VERSION = tfds.core.Version("1.0.0")
    URL = (
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
    )
    SIZE = 1_115_394
    SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
    EXAMPLES = 2
    SOURCES = "tinyshakespeare.txt, called input.txt where it is published"

    def __init__(
        self,
        *,
        data_dir: str,
        source: Path,
        progress: Callable[[int], None] = lambda n: None,
        size: int = SIZE,
    ):
        self._source, self._progress, self._size = Path(source), progress, size
        super().__init__(data_dir=data_dir)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Plays of Shakespeare, 1.1 MB of them.",
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
            homepage="https://github.com/karpathy/char-rnn",
        )

    def _split_generators(self, dl_manager):
        if not self._source.is_file() or self._source.stat().st_size != self._size:
            raise UserError(
                f"{self._source} is not {self.SOURCES}, a file of {self._size:,} bytes. Nothing was "
                "prepared; text of your own needs no preparation: --config.data.path=FILE."
            )
        text = decode(self._source.read_bytes(), str(self._source))
        cut = len(text) * 9 // 10
        return {
            "train": self._generate_examples("train", text[:cut]),
            "validation": self._generate_examples("validation", text[cut:]),
        }

    def _generate_examples(self, split, text):
        self._progress(1)
        yield split, {"text": text}
