"""A source of labelled texts: read, tokenised once, cut or padded, bucketed by length.

The whole preprocessing is described by one dict, `config.data`, shared by all splits; the training
part decides the vocabulary. The tokenizer and the label names go to the run's assets, so that a text
from anywhere becomes a batch the same way (`encode`).
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import splits as splitting
from bigmodel_jax.data import tokenized
from bigmodel_jax.data.order import Plan, batches_per_epoch, plan_epoch
from bigmodel_jax.errors import UserError, nearest


class Source:
    """Batches of {"tokens", "mask", "label", "valid"}.

    Args:
        reader: spec of a reader; resolved from the config's candidates.
        splits: slices of the data by the names that evaluators use, e.g.
            dict(train="train[:90%]", val="train[90%:]", test="test"); see data/splits.py.
        tokenizer: spec of a tokenizer.
        max_length: longer texts are cut.
        keep: which part of a long text stays: "head", "tail" or "both" (half of each).
        buckets: padded lengths, rising; by default powers of two up to max_length.
        batch_size: examples a step, over all processes.
        fingerprint: of the reader's data. A run writes it down, and opens no other data later.
        split: a name from `splits`, or a slice such as "test[:100]".
        training: shuffled and without end, or in one order, each example once an epoch.
        group: steps a dispatch (config.repeat).
        resident: keep the token array on the device and gather batches there: `batch` then returns
            Rows, which `assemble` turns into the same batch, bit for bit, inside the jitted step.
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
        if batch_size < 1 or batch_size % process[1]:
            raise UserError(
                f"config.data.batch_size {batch_size} does not divide over {process[1]} processes."
            )
        self.buckets = check_buckets(buckets, max_length)
        opened = config.build("data.readers", reader, data_dir=data_dir)
        self.reader_name, self.synthetic = opened.name, opened.synthetic
        self.fingerprint = opened.fingerprint()
        if fingerprint not in ("", self.fingerprint):
            raise UserError(
                f"{self.reader_name} here is not the data that config.data.fingerprint names: "
                f"{self.fingerprint[:12]}... instead of {fingerprint[:12]}.... Has a file changed, "
                "or is --data_dir another one?"
            )
        self._splits, self._sizes = splits, opened.splits
        self.label_names = tuple(opened.label_names)
        self.tokenizer, self._data = _open(opened, splits, split, tokenizer, data_dir)
        self.labels = self._data.labels
        self.resident = resident and training
        if self.resident and len(self._data.tokens) >= 2**31:
            raise UserError("config.data.resident: there are 2^31 tokens or more; leave it out.")
        self._starts, self._ends = self._data.offsets[:-1], self._data.offsets[1:]
        self._lengths = np.minimum(self._ends - self._starts, max_length)
        self.examples = len(self._lengths)
        self.steps_per_epoch = batches_per_epoch(self.examples, batch_size, group)
        self.info = {
            "vocabulary_size": self.tokenizer.vocabulary_size,
            "num_classes": len(self.label_names),
        }
        classes = np.unique(self.labels)
        if training and len(classes) < 2:
            raise UserError(
                f"The training part {splits.get(split, split)!r} of {self.reader_name} holds only "
                f"the class {self.label_names[classes[0]]!r}: there is nothing to tell apart."
            )
        self._plans: dict[int, Plan] = {}

    def check_split(self, split: str) -> None:
        """Raises a UserError for an unknown or empty split: evaluators open theirs late."""
        splitting.parse(find_split(self._splits, split), self._sizes)

    def peek(self) -> dict[str, np.ndarray]:
        """A batch of this process's share, for shapes."""
        return host_batch(self._data.tokens, self._share(0))

    def batch(self, step: int) -> "dict[str, np.ndarray] | Rows":
        """The rows of this process in the batch of a step; a pure function of (seed, step)."""
        rows = self._share(step)
        return rows if self.resident else host_batch(self._data.tokens, rows)

    def store(self) -> np.ndarray:
        """What a resident source keeps on the device: all tokens, [tokens]."""
        return self._data.tokens

    @staticmethod
    def assemble(store: jax.Array, rows: "Rows") -> dict[str, jax.Array]:
        """The batch of `rows` on the device, bit for bit that of `host_batch`."""
        start, head, end, kept = (x[:, None] for x in (rows.start, rows.head, rows.end, rows.kept))
        position = jnp.arange(rows.length)
        mask = position < kept
        index = jnp.where(position < head, start + position, end - kept + position)
        tokens = jnp.where(mask, store[jnp.where(mask, index, 0)], 0)
        return {"tokens": tokens, "mask": mask, "label": rows.label, "valid": rows.valid}

    def rows(self, step: int) -> np.ndarray:
        """Which examples the batch of a step holds over all processes, [batch_size]; -1 pads."""
        return self._planned(step)[0]

    def save_assets(self, folder: Path) -> None:
        """Writes what `encode` and a reader of predictions need: the tokenizer, the label names."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(folder)
        labels = json.dumps(self.label_names, ensure_ascii=False) + "\n"
        (folder / "labels.json").write_text(labels, encoding="utf-8")

    def _planned(self, step):
        epoch, position = divmod(step, self.steps_per_epoch)
        epoch = epoch if self.training else 0
        if epoch not in self._plans:
            while len(self._plans) > 1:
                self._plans.pop(min(self._plans), None)
            self._plans[epoch] = plan_epoch(
                self._lengths,
                self.batch_size,
                buckets=self.buckets,
                seed=self.seed,
                epoch=epoch,
                shuffle=self.training,
                group=self.group,
            )
        plan = self._plans[epoch]
        return plan.indices[position], int(plan.lengths[position])

    def _share(self, step) -> "Rows":
        """This process's part of the batch of a step."""
        rows, length = self._planned(step)
        index, count = self.process
        rows = np.split(rows, count)[index]
        valid = rows >= 0
        kept = np.where(valid, self._lengths[rows], 0)
        return Rows(
            start=np.where(valid, self._starts[rows], 0),
            head=_head(self.keep, kept),
            end=self._ends[rows],
            kept=kept,
            label=np.where(valid, self.labels[rows], 0).astype(np.int32),
            valid=valid,
            length=length,
        )


@flax.struct.dataclass
class Rows:
    """Where in the flat token array the rows of a batch lie; all fields [rows].

    Attributes:
        start, end: of the text.
        head: how many tokens are taken from its start; the others are its last.
        kept: how many tokens are taken in all.
        label, valid: as in the batch.
        length: of the padded rows; a constant of the compiled program.
    """

    start: Any
    head: Any
    end: Any
    kept: Any
    label: Any
    valid: Any
    length: int = flax.struct.field(pytree_node=False)


def host_batch(flat: np.ndarray, rows: Rows) -> dict[str, np.ndarray]:
    """The batch of `rows` of a flat token array, padded with 0; row by row, which copies fastest."""
    tokens = np.zeros((len(rows.kept), rows.length), np.int32)
    places = zip(tokens, rows.start, rows.head, rows.end, rows.kept, strict=True)
    for row, start, head, end, kept in places:
        row[:head] = flat[start : start + head]
        row[head:kept] = flat[end - (kept - head) : end]
    mask = np.arange(rows.length) < np.asarray(rows.kept)[:, None]
    return {"tokens": tokens, "mask": mask, "label": rows.label, "valid": rows.valid}


def _head(keep, kept):
    return {"head": kept, "tail": 0 * kept, "both": kept // 2}[keep]


def encode(texts: Sequence[str], tokenizer, spec: Mapping) -> dict[str, np.ndarray]:
    """A batch of texts from anywhere, prepared as `spec` (config.data) prepares its own; label 0."""
    ids = [np.asarray(tokenizer.encode(text), np.int32) for text in texts]
    counts = np.array([min(len(x), spec["max_length"]) for x in ids], np.int64)
    ends = np.cumsum([len(x) for x in ids], dtype=np.int64)
    starts = ends - [len(x) for x in ids]
    buckets = check_buckets(spec.get("buckets", ()), spec["max_length"])
    length = buckets[int(np.searchsorted(buckets, counts.max()))]
    head = _head(spec.get("keep", "tail"), counts)
    nothing = np.zeros(len(texts), np.int32)
    rows = Rows(starts, head, ends, counts, nothing, np.ones(len(texts), bool), length)
    return host_batch(np.concatenate(ids), rows)


def check_buckets(buckets: Sequence[int], max_length: int) -> tuple[int, ...]:
    """The padded lengths, the last of which holds a text of max_length."""
    if not buckets:
        buckets = [2**n for n in range(5, 31) if 2**n < max_length]
    buckets = tuple(b for b in buckets if b < max_length) + (max_length,)
    if max_length < 1 or any(b <= a for a, b in zip(buckets, buckets[1:], strict=False)):
        raise UserError(f"config.data.buckets must rise from 1 or more, but are {buckets}.")
    return buckets


def _open(reader, splits, split, spec, data_dir):
    """(tokenizer, tokenised arrays) of a split, from the cache or made now."""
    kept = {"reader": reader.fingerprint(), "tokenizer": config.plain(spec)}
    tokenizer = config.build("data.tokenizers", spec)
    train = splits["train"]
    name = tokenized.fingerprint(**kept, train=train, split="vocabulary")
    vocabulary = tokenized.folder(data_dir, name)
    if (vocabulary / "tokenizer.json").is_file():
        tokenizer.load(vocabulary)
    else:
        print(f"Training the tokenizer on {reader.name} {train}.", flush=True)
        tokenizer.train(x["text"] for x in _examples(reader, train))
        vocabulary.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(suffix=".unfinished", dir=vocabulary))
        tokenizer.save(part)
        (part / "tokenizer.json").replace(vocabulary / "tokenizer.json")
        part.rmdir()
    expression = find_split(splits, split)
    origin = {**kept, "train": train, "split": expression}
    path = tokenized.folder(data_dir, tokenized.fingerprint(**origin))
    found = tokenized.load(path)
    if found is None:
        print(f"Tokenising {reader.name} {expression} into {path}.", flush=True)
        examples = _examples(reader, expression)
        found = tokenized.write(path, examples, tokenizer, origin, f"{reader.name} {expression}")
    return tokenizer, found


def _examples(reader, expression):
    name, indices = splitting.parse(expression, reader.splits)
    return reader.examples(name, indices)


def load_assets(folder: Path, spec: Mapping) -> tuple[Any, tuple[str, ...]]:
    """(tokenizer, label names) of a run."""
    tokenizer = config.build("data.tokenizers", spec["tokenizer"])
    tokenizer.load(folder)
    return tokenizer, tuple(json.loads((folder / "labels.json").read_text(encoding="utf-8")))


def find_split(splits: Mapping[str, str], name: str) -> str:
    """The slice that a split's name stands for, or the slice itself ("test[:100]").

    A slice is one of the data set's own splits; of one that the config itself cut, it is an error.
    """
    own, bracket, _ = name.partition("[")
    if bracket and splits.get(own, own).partition("[")[0] != own:
        raise UserError(
            f"{name!r}: {own!r} is cut from {splits[own]!r} here; name a slice of that."
        )
    if name in splits or "[" in name:
        return splits.get(name, name)
    raise UserError(f"The config has no split {name!r}.{nearest(name, splits)}")
