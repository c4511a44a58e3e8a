"""What sources share whose examples all fit into memory: splits, the order, shares of processes."""

import abc
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.data import splits as splitting
from bigmodel_jax.data.checks import check_batch_size, check_fingerprint
from bigmodel_jax.data.corpus import find_split
from bigmodel_jax.data.hashes import text_hashes
from bigmodel_jax.data.order import Epochs, Plan, batches_per_epoch, plan_epoch
from bigmodel_jax.data.rows import check_buckets


class Read(NamedTuple):
    """What was read.

    Attributes:
        name: of the data, for banners.
        synthetic: whether they are generated.
        identity: what decides them, any constants.
        examples: by the data's own splits.
    """

    name: str
    synthetic: bool
    identity: Sequence[Any]
    examples: Mapping[str, Sequence[Any]]


class InMemory(abc.ABC):
    """Batches of examples that were read whole.

    A subclass says what a tokenizer learns from (`learnt`), by what a hash splits (`key`), how examples
    become rows (`encode`, once) and rows a batch (`assemble`).

    Args:
        tokenizer: untrained.
        splits, max_length, buckets, batch_size, fingerprint, split, training, seed, group,
            process: as in data/text.py.

    Attributes:
        train_examples: those that the tokenizer learnt from.
        split: as given.
        lengths: tokens of each row of this split, int [rows].
    """

    def __init__(
        self,
        read: Read,
        *,
        splits: Mapping[str, str],
        tokenizer: Any,
        max_length: int,
        batch_size: int,
        buckets: Sequence[int],
        fingerprint: str,
        split: str,
        training: bool,
        seed: int,
        group: int,
        process: tuple[int, int],
    ):
        self.batch_size, self.training, self.seed, self.group = batch_size, training, seed, group
        self.max_length, self.process, self.split = max_length, process, split
        check_batch_size(batch_size, process[1])
        self.buckets = check_buckets(buckets, max_length)
        self.reader_name, self.synthetic, self._read = read.name, read.synthetic, read.examples
        self._sizes = {name: len(examples) for name, examples in read.examples.items()}
        self._splits = splitting.complete(splits, self._sizes)
        self.train_examples = self.chosen("train")
        self.tokenizer = tokenizer
        self.tokenizer.train(self.learnt(self.train_examples))
        identity = [*read.identity, getattr(self.tokenizer, "identity", str)()]
        self.fingerprint = hashlib.sha256(repr(identity).encode()).hexdigest()
        check_fingerprint(self.reader_name, self.fingerprint, fingerprint)
        self.info = {
            "vocabulary_size": self.tokenizer.vocabulary_size,
            "max_length": max_length,
        }
        self.lengths = self.encode(self.chosen(split))
        self.examples = len(self.lengths)
        self.steps_per_epoch = batches_per_epoch(self.examples, batch_size, group)
        self._epochs = Epochs(self._plan, self.steps_per_epoch, training)

    @abc.abstractmethod
    def learnt(self, examples: Sequence[Any]) -> Iterable[str]:
        """What a tokenizer learns from, of the examples of the training part."""

    @abc.abstractmethod
    def key(self, example: Any) -> tuple[str, ...]:
        """Examples of the same texts come to lie on one side of a split by hash."""

    @abc.abstractmethod
    def encode(self, examples: Sequence[Any]) -> np.ndarray:
        """Makes rows of the examples of a split; the tokens of each row, int [rows]."""

    @abc.abstractmethod
    def assemble(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        """The batch of some rows, -1 for padding, padded to a length."""

    def chosen(self, split: str) -> list[Any]:
        """The examples of a split, or of a slice.

        Raises:
            UserError: there is no such split, or it is empty.
        """
        expression = find_split(self._splits, split)
        read = self._read.get(splitting.split_name(expression), [])

        def hashes():
            return text_hashes([self.key(example) for example in read])

        return [read[i] for i in splitting.parse(expression, self._sizes, hashes)[1]]

    def check_split(self, split: str) -> None:
        """Raises a UserError for an unknown or empty split: evaluators open theirs late."""
        self.chosen(split)

    def peek(self) -> dict[str, np.ndarray]:
        """A batch of this process's share, for shapes."""
        return self.batch(0)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """The rows of this process in the batch of a step; a pure function of (seed, step)."""
        rows, length = self._planned(step)
        index, count = self.process
        return self.assemble(np.split(rows, count)[index], length)

    def rows(self, step: int) -> np.ndarray:
        """Which rows the batch of a step holds over all processes, [batch_size]; -1 pads."""
        return self._planned(step)[0]

    def save_assets(self, folder: Path) -> None:
        """Writes the tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(folder)

    def say(self, note: str) -> None:
        """Tells the user something, once for all processes."""
        if self.process[0] == 0:
            print(f"NOTE: {note}", flush=True)

    def _plan(self, epoch) -> Plan:
        return plan_epoch(
            self.lengths,
            self.batch_size,
            buckets=self.buckets,
            seed=self.seed,
            epoch=epoch,
            shuffle=self.training,
            group=self.group,
        )

    def _planned(self, step):
        plan, position = self._epochs.at(step)
        return plan.indices[position], int(plan.lengths[position])
