"""A source of labelled texts: read, tokenised once, cut or padded, bucketed by length.

The whole preprocessing is described by one dict, `config.data`, shared by all splits; the training
part decides the vocabulary. The tokenizer and the label names go to the run's assets, so that a text
from anywhere becomes a batch the same way (`encode`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import splits as splitting
from bigmodel_jax.data import word_vectors as vectors
from bigmodel_jax.data.checks import check_batch_size, check_fingerprint
from bigmodel_jax.data.corpus import examples, find_split, open_split, positions
from bigmodel_jax.data.encoding import save_labels
from bigmodel_jax.data.labels import check_labels
from bigmodel_jax.data.order import Epochs, Plan, batches_per_epoch, plan_epoch
from bigmodel_jax.data.readers import texts_of
from bigmodel_jax.data.rows import Rows, around, assemble, check_buckets, cut, host_batch
from bigmodel_jax.errors import UserError

FEW = 1_000  # examples of which a split by hash may be empty by chance


class Source:
    """Batches of {"tokens", "mask", "label", "valid"}.

    The label is, by the reader's target, int32 [rows] for a class; float32 [rows, classes], 0 or 1,
    for any number of labels; or float32 [rows] for a number.

    Args:
        reader: spec of a reader; resolved from the config's candidates.
        splits: slices of the data by the names that evaluators use, e.g.
            dict(train="train[:90%]", val="train[90%:]", test="test"); see data/splits.py.
        tokenizer: spec of a tokenizer.
        max_length: longer texts are cut.
        keep: which part of a long text stays: "head", "tail" or "both" (half of each). Of a pair of
            texts both keep their heads, and the longer one is cut first.
        buckets: padded lengths, rising; by default powers of two up to max_length.
        batch_size: examples a step, over all processes.
        fingerprint: of the reader's data, and of a tokenizer's own file. A run writes it down, and
            opens no other data later.
        split: a name from `splits`, or a slice such as "test[:100]".
        training: shuffled and without end, or in one order, each example once an epoch.
        group: steps a dispatch (config.repeat).
        resident: keep the token array on the device and gather batches there: `batch` then returns
            Rows, which `assemble` turns into the same batch, bit for bit, inside the jitted step.
        balance: while training, draw all classes equally often; see order.balanced. (A task may
            weigh them instead: class_weights="balanced".)
        transforms: specs of what is done to the tokens of each text while training, in this order,
            after it is cut; see data/transforms.
        word_vectors: a file from which embeddings start; see data/word_vectors.py.
        data_dir: where prepared data and the cache lie.
        process: (index, count) of this process among those that share a batch.
    """

    def __init__(
        self,
        *,
        reader: Mapping,
        splits: Mapping[str, str],
        tokenizer: Mapping,
        max_length: int,
        batch_size: int,
        keep: str = "tail",
        buckets: Sequence[int] = (),
        resident: bool = False,
        balance: bool = False,
        transforms: Sequence[Mapping] = (),
        word_vectors: str | None = None,
        fingerprint: str = "",
        split: str = "train",
        training: bool = True,
        seed: int = 0,
        group: int = 1,
        data_dir: str = "",
        process: tuple[int, int] = (0, 1),
    ):
        self.batch_size, self.training, self.seed, self.group = batch_size, training, seed, group
        self.max_length, self.keep, self.process = max_length, keep, process
        if keep not in ("head", "tail", "both"):
            raise UserError(f"config.data.keep is {keep!r}, but it is 'head', 'tail' or 'both'.")
        check_batch_size(batch_size, process[1])
        self.buckets = check_buckets(buckets, max_length)
        opened = config.build("data.readers", reader, data_dir=data_dir)
        self.reader_name, self.synthetic = opened.name, opened.synthetic
        self.fingerprint = _fingerprint(opened, tokenizer)
        check_fingerprint(self.reader_name, self.fingerprint, fingerprint)
        self._word_vectors = word_vectors
        self._splits, self._split, self._reader = splits, split, opened
        self._data_dir = data_dir
        self.label_names = tuple(opened.label_names)
        self.target: str = getattr(opened, "target", "class")
        self.tokenizer, self._data = open_split(
            opened, splits, split, tokenizer, data_dir, max_length, keep
        )
        self.labels = self._data.labels
        self.resident = resident and training
        if self.resident and len(self._data.tokens) >= 2**31:
            raise UserError("config.data.resident: there are 2^31 tokens or more; leave it out.")
        if resident and transforms:
            raise UserError(
                "config.data.transforms change texts on the host, where data that are resident on "
                "the device do not pass: leave out one of the two."
            )
        if balance and self.target != "class":
            raise UserError(
                f"config.data.balance draws classes, but the target is {self.target!r}: leave it out."
            )
        self._transforms = [
            config.build("data.transforms", spec, tokenizer=self.tokenizer)
            for spec in (transforms if training else ())
        ]
        self.balance = balance and training
        self._around = around(self.tokenizer, getattr(opened, "pairs", False))
        self._cut = cut(self._data.offsets, max_length, keep, self._around)
        self.lengths = self._cut.kept + self._around.ends
        self.examples = len(self.lengths)
        self.steps_per_epoch = batches_per_epoch(self.examples, batch_size, group)
        self.info = {
            "vocabulary_size": self.tokenizer.vocabulary_size,
            "num_classes": len(self.label_names),
        }
        if training:
            part = f"The training part {splits.get(split, split)!r} of {opened.name}"
            notes = check_labels(self.labels, self.target, self.label_names, part)
            if empty := int((self._cut.kept == 0).sum()):
                are = "text has" if empty == 1 else "texts have"
                notes.append(f"{part}: {empty:,} {are} no words to learn from, only a label.")
            if process[0] == 0:
                print("".join(f"NOTE: {note}\n" for note in notes), end="", flush=True)
        self._epochs = Epochs(self._plan, self.steps_per_epoch, training)

    def check_split(self, split: str) -> None:
        """Raises a UserError for an unknown or empty split: evaluators open theirs late."""
        expression, reader = find_split(self._splits, split), self._reader
        name = splitting.split_name(expression)
        if reader.splits.get(name, 0) <= FEW:
            positions(reader, expression, self._data_dir)
        else:
            splitting.parse(expression, reader.splits)

    def texts(self, indices: Sequence[int] | np.ndarray) -> list[str]:
        """The texts of examples of this split, as they were read; pairs with " ||| " between."""
        expression = find_split(self._splits, self._split)
        indices = np.asarray(indices, np.int64)
        chosen = examples(self._reader, expression, self._data_dir, indices)
        return [" ||| ".join(texts_of(example)) for example in chosen]

    def field(self, name: str) -> list:
        """The value of each example of this split in a column, or feature, of the data."""
        expression = find_split(self._splits, self._split)
        if not hasattr(self._reader, "field"):
            raise UserError(f"{self.reader_name} has texts and labels, and no field {name!r}.")
        chosen = positions(self._reader, expression, self._data_dir)
        return self._reader.field(splitting.split_name(expression), chosen, name)

    def peek(self) -> dict[str, np.ndarray]:
        """A batch of this process's share, for shapes."""
        return host_batch(self._data.tokens, self._share(0))

    def batch(self, step: int) -> dict[str, np.ndarray] | Rows:
        """The rows of this process in the batch of a step; a pure function of (seed, step)."""
        rows = self._share(step)
        if self.resident:
            return rows
        batch = host_batch(self._data.tokens, rows)
        return self._transformed(batch, rows.kept, step)

    def store(self) -> np.ndarray:
        """What a resident source keeps on the device: all tokens, [tokens]."""
        return self._data.tokens

    assemble = staticmethod(assemble)

    def rows(self, step: int) -> np.ndarray:
        """Which examples the batch of a step holds over all processes, [batch_size]; -1 pads."""
        return self._planned(step)[0]

    def start_from(self, variables: Mapping) -> Mapping:
        """`variables` of a fresh run, with the embeddings that config.data.word_vectors has."""
        if self._word_vectors is None:
            return variables
        words = self.tokenizer.tokens(range(self.tokenizer.vocabulary_size))
        return vectors.start_from(self._word_vectors, words, variables)

    def save_assets(self, folder: Path) -> None:
        """Writes what `encode` and a reader of predictions need: the tokenizer, the label names."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(folder)
        save_labels(folder, self.label_names, self.target)

    def _plan(self, epoch) -> Plan:
        return plan_epoch(
            self.lengths,
            self.batch_size,
            buckets=self.buckets,
            seed=self.seed,
            epoch=epoch,
            shuffle=self.training,
            group=self.group,
            labels=self.labels if self.balance else None,
        )

    def _planned(self, step):
        plan, position = self._epochs.at(step)
        return plan.indices[position], int(plan.lengths[position])

    def _share(self, step) -> Rows:
        """This process's part of the batch of a step."""
        rows, length = self._planned(step)
        index, count = self.process
        rows = np.split(rows, count)[index]
        valid = rows >= 0
        start, head, second, kept = (np.where(valid, x[rows], 0) for x in self._cut)
        label = np.asarray(self.labels[rows], np.int32 if self.target == "class" else np.float32)
        label[~valid] = 0
        return Rows(start, head, second, kept, label, valid, length, self._around)

    def _transformed(self, batch, kept, step):
        """The batch with the transforms applied; the padded length stays."""
        if not self._transforms:
            return batch
        first = self.process[0] * len(kept)  # of this process's rows in the whole batch
        around, tokens = self._around, batch["tokens"]
        begin = len(around.before)
        for row, count in enumerate(kept):
            if count:
                # (seed, epoch) alone would start the same generator as (seed, epoch, 0, 0).
                rng = np.random.default_rng((self.seed, step, first + row, 1))
                changed = tokens[row, begin : begin + count]
                for transform in self._transforms:
                    changed = transform(changed, rng)
                end = begin + len(changed) + len(around.after)
                tokens[row, begin:end] = np.append(changed, np.array(around.after, np.int32))
                tokens[row, end:] = 0
                batch["mask"][row, end:] = False
                if "types" in batch:  # a transform leaves separators alone
                    other = begin + int(np.argmax(changed == around.between[0]))
                    batch["types"][row] = batch["mask"][row]
                    batch["types"][row, : other + len(around.between)] = 0
        return batch


def _fingerprint(reader, tokenizer: Mapping) -> str:
    """sha256 of what the data are, in hexadecimal; of a tokenizer's own file, too."""
    identity = getattr(config.build("data.tokenizers", tokenizer), "identity", None)
    if identity is None:
        return reader.fingerprint()
    return hashlib.sha256(f"{reader.fingerprint()} {identity()}".encode()).hexdigest()
