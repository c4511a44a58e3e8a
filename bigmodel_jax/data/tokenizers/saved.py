"""The tokenizer that a run has saved, of whichever kind: what a run that starts from it needs.

tokenizer=dict(name="saved", path="runs/own_text/assets/tokenizer.json", spec=dict(name="words"))
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bigmodel_jax import config
from bigmodel_jax.data import published


class Tokenizer:
    """All that the tokenizer of `spec` is and does, but that it learns nothing anew.

    Args:
        path: of the file that it saved, `tokenizer.json`.
        spec: of the tokenizer, as the run's config has it.
    """

    def __init__(self, path: str, spec: Mapping):
        self._path, self._tokenizer = Path(path), config.build("data.tokenizers", spec)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # before __init__ is through, as in a copy
            raise AttributeError(name)
        return getattr(self._tokenizer, name)

    def identity(self) -> str:
        """sha256 of the file, in hexadecimal."""
        return hashlib.sha256(published.read(self._path)).hexdigest()

    def train(self, texts: Iterable[str]) -> None:
        """Reads the file; the texts teach it nothing and are not read."""
        self._tokenizer.load(self._path.parent)
