"""What runs on running text share: its tokens, in rows as data/tokens.py makes them."""

from collections.abc import Sequence

import jax
import numpy as np

from bigmodel_jax import sharding
from bigmodel_jax.applied import base
from bigmodel_jax.data import token_files
from bigmodel_jax.data.packing import Runs, fill
from bigmodel_jax.data.rows import ends_of_document


class Answers(base.Answers):
    """A run on running text, of whatever tokenizer.

    Attributes:
        tokenizer: of the run.
        length: of its rows, in tokens.
    """

    def __init__(self, *loaded):
        super().__init__(*loaded)
        # Of a run on token files the config names no tokenizer: its file says what it is.
        self.tokenizer = token_files.load_tokenizer(self.assets / token_files.TOKENIZER)
        self.length = int(self.config["data"]["length"])
        ends = ends_of_document(self.tokenizer)
        self.before, self.after = (np.array(ids, np.int32) for ids in ends)
        self.everywhere = jax.sharding.NamedSharding(self.mesh, jax.P())

    def batch(
        self, flat: np.ndarray, first: np.ndarray, count: np.ndarray, shift: bool
    ) -> dict[str, np.ndarray]:
        """The rows of some runs of `flat`, a run a row, padded to a bucket; a run of 0 is padding."""
        real = count > 0
        runs = Runs(first[real], count[real], real.astype(np.int64))
        return fill(flat, runs, base.bucket(int(count.max()), self.length), shift)

    def put(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """The batch on the devices."""
        return sharding.put(batch, self.mesh)


def laid_out(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ids of all parts one after another, where each begins, how many it has), int64 of the last."""
    count = np.array([len(part) for part in parts], np.int64)
    return np.concatenate([np.zeros(0, np.int32), *parts]), np.cumsum(count) - count, count
