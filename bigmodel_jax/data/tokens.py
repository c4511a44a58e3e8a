"""A source of running text for language models: token files, packed into rows, mixed by weights.

    config.data = dict(name="tokens", path="corpus_tokens", length=1024, batch_size=32)
    config.data = dict(name="tokens", dataset="imdb_reviews", tokenizer=dict(name="raw", ...), ...)

Any row of any epoch can be had at any time, so that the batch of a step is a pure function of
(seed, step). A document sees only itself: it is a segment of its own, with positions from 0. Where
the tokenizer has a separator (GPT-2's <|endoftext|>), each document begins and ends with it, so that
each of its tokens is predicted once, the end too; without one (characters) its first is not.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.data import prepared, token_rows, tokenized
from bigmodel_jax.data.checks import check_batch_size, check_fingerprint
from bigmodel_jax.data.mixture import Mixture
from bigmodel_jax.data.order import Epochs, batches_per_epoch, plan_epoch
from bigmodel_jax.data.packing import KINDS, Index, Runs, fill, make_index
from bigmodel_jax.data.rows import check_buckets
from bigmodel_jax.data.token_corpora import Spans, open_corpora
from bigmodel_jax.data.token_rows import Rows
from bigmodel_jax.data.words import Joins
from bigmodel_jax.errors import UserError, nearest

SPLITS = {"train": "train[:90%]", "val": "train[90%:]"}


class Member(NamedTuple):
    """One corpus of a mixture: `index` has its rows."""

    spans: Spans
    index: Index


class Source:
    """Batches of {"tokens", "targets", "segments", "positions", "mask", "valid", "index"}.

    The first four are int32 [rows, length], "mask" is bool [rows, length], True where "targets" (or,
    without `shift`, "tokens") are real; "valid" bool [rows]; "index" int32 [rows], the row's number
    in the split, -1 for a row of padding. With `words` also "words", int32 [rows, length].

    Args:
        path: a folder of python -m bigmodel_jax.tokenize, or text: a file, a folder, a pattern.
        dataset: a prepared data set of tfds, in place of `path`.
        reader: spec of a reader, in place of both.
        text_column: the name of the text's column, key or feature.
        corpora: several of the above, dict(path=..., weight=...): while training, rows come from each
            in proportion to the weights; without weights as many as there are.
        tokenizer: spec of a tokenizer ("raw" or "characters"), where text is given.
        splits: slices by name; see data/splits.py.
        length: of a row, in tokens.
        packing: "concat" cuts all documents, one after another, into rows, at other places in each
            epoch; "best_fit" cuts only documents longer than a row; "documents" gives a row to each.
        buckets: padded lengths of "documents"; by default powers of two.
        shift: "targets" are the next tokens; without it there are none (masked language models).
        words: number the words, for whole-word masking.
        resident: keep all tokens on the device and put rows together there: `batch` then returns
            Rows, which `assemble` turns into the same batch, bit for bit. For one small corpus.
        fingerprint, split, training, seed, group, data_dir, process: as in data/text.py.

    Attributes:
        bytes_per_token: of the split: UTF-8 bytes of the text by tokens that "mask" counts; a loss in
            nats a token is loss / log(2) / bytes_per_token bits per byte.
        padding: the share of padding in the rows.
    """

    def __init__(
        self,
        *,
        length: int,
        batch_size: int,
        path: str | None = None,
        dataset: str | None = None,
        reader: Mapping | None = None,
        text_column: str | None = None,
        corpora: Sequence[Mapping] = (),
        tokenizer: Mapping | None = None,
        splits: Mapping[str, str] = SPLITS,
        packing: str = "concat",
        buckets: Sequence[int] = (),
        shift: bool = True,
        words: bool = False,
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
        self.length, self.process, self._shift = length, process, shift
        if packing not in KINDS:
            raise UserError(
                f"There is no config.data.packing {packing!r}.{nearest(packing, KINDS)}"
            )
        if length < 2:
            raise UserError(f"config.data.length is {length}; a row has at least 2 tokens.")
        check_batch_size(batch_size, process[1])
        self.buckets = check_buckets(buckets, length) if packing == "documents" else (length,)
        one = {"path": path, "dataset": None if path else dataset, "reader": reader}
        specs = corpora or [{**one, "text_column": text_column}]
        self._corpora, self.tokenizer = open_corpora(specs, splits, tokenizer, data_dir)
        self.reader_name = " + ".join(corpus.name for corpus in self._corpora)
        self.synthetic = any(getattr(corpus.raw, "synthetic", False) for corpus in self._corpora)
        self.fingerprint = tokenized.fingerprint(
            corpora=[corpus.fingerprints() for corpus in self._corpora],
            tokenizer=self._corpora[0].file("train").meta["tokenizer_sha256"],
        )
        check_fingerprint(self.reader_name, self.fingerprint, fingerprint)
        spans = [_to_predict(corpus.spans(split), shift) for corpus in self._corpora]
        indices = [self._index(x, packing, data_dir or prepared.default_data_dir()) for x in spans]
        rows = [len(index.lengths) for index in indices]
        weights = [corpus.weight if training else None for corpus in self._corpora]
        self._mixture = Mixture(rows, weights, seed)
        self._members = [Member(*m) for m in zip(spans, indices, strict=True)]
        self._numbers = self._mixture.first
        self.examples = sum(self._mixture.draws)
        self.steps_per_epoch = batches_per_epoch(self.examples, batch_size, group)
        self.tokens = sum(int(index.lengths.sum()) for index in indices)
        self.bytes_per_token = sum(x.bytes for x in spans) / self.tokens
        self.padding = 1 - self.tokens / (sum(rows) * length)
        self.info = {
            "vocabulary_size": self.tokenizer.vocabulary_size,
            "max_length": length,
            "mask_id": self.tokenizer.mask,
            "end_id": self.tokenizer.separator,
            "special_ids": tuple(sorted(self.tokenizer.special)),
        }
        self._joins = Joins(self.tokenizer) if words else None
        self.resident = resident and training
        if resident and (words or len(specs) > 1 or self.tokens >= 2**30):
            raise UserError(
                "config.data.resident is for one corpus of less than 2^30 tokens, without "
                "config.data.words: leave it out."
            )
        self._epochs = Epochs(self._plan, self.steps_per_epoch, training)
        if training and process[0] == 0:
            print(
                f"{self.reader_name}: {self.tokens:,} tokens in {sum(rows):,} rows of {length}, "
                f"{self.padding:.1%} padding; {self.bytes_per_token:.2f} bytes a token.",
                flush=True,
            )

    def check_split(self, split: str) -> None:
        """Raises a UserError for an unknown or empty split: evaluators open theirs late."""
        for corpus in self._corpora:
            corpus.check_split(split)

    def peek(self) -> dict[str, np.ndarray]:
        """A batch of this process's share, for shapes."""
        return self._host_batch(*self._share(0))

    @staticmethod
    def example(given: Mapping, rows: int) -> dict[str, np.ndarray]:
        """A batch of padding, as config.data has it, for shapes."""
        ids = np.zeros((rows, given["length"]), np.int32)
        keys = (
            "tokens",
            "targets",
            "segments",
            "positions",
            *["words"] * given.get("words", False),
        )
        return {
            **dict.fromkeys(keys, ids),
            "mask": ids > 0,
            "valid": np.zeros(rows, bool),
            "index": np.zeros(rows, np.int32),
        }

    @staticmethod
    def described(given: Mapping) -> dict[str, Any]:
        """What config.data tells of `info`."""
        return {"max_length": given["length"]}

    def batch(self, step: int) -> dict[str, np.ndarray] | Rows:
        """The rows of this process in the batch of a step; a pure function of (seed, step)."""
        number, epochs, length = self._share(step)
        if not self.resident:
            return self._host_batch(number, epochs, length)
        index, valid = self._members[0].index, number >= 0
        begins = [
            index.begin(int(row), self._shift_of(0, int(epoch))) if row >= 0 else 0
            for row, epoch in zip(number, epochs, strict=True)
        ]
        kept = np.where(valid, index.lengths[number], 0).astype(np.int32)
        return Rows(np.array(begins, np.int32), kept, valid, number.astype(np.int32), length)

    def store(self) -> dict[str, np.ndarray]:
        """What a resident source keeps on the device."""
        member = self._members[0]
        return token_rows.store(member.spans.file.tokens, member.index, self._shift)

    assemble = staticmethod(token_rows.assemble)

    def _share(self, step):
        """(row numbers, own epochs) of this process's rows, -1 for padding; their length."""
        draws, length, picked = self._planned(step)
        index, count = self.process
        draws = np.split(draws, count)[index]
        number, epochs = np.where(draws >= 0, picked[:, draws], -1)
        return number, epochs, length

    def _host_batch(self, number, epochs, length) -> dict[str, np.ndarray]:
        batch: dict[str, np.ndarray] = {}
        for i, member in enumerate(self._members):
            inside = np.flatnonzero((number >= self._numbers[i]) & (number < self._numbers[i + 1]))
            rows = number[inside] - self._numbers[i]
            part = self._fill(i, member, rows, epochs[inside], length)
            for key, values in part.items():
                whole = batch.setdefault(key, np.zeros((len(number), length), values.dtype))
                whole[inside] = values
        if self._joins:
            batch["words"] = self._joins.words(batch["tokens"], batch["segments"])
        return {**batch, "valid": number >= 0, "index": number.astype(np.int32)}

    def rows(self, step: int) -> np.ndarray:
        """Which rows of the split the batch of a step holds over all processes, [batch_size]; -1 pads."""
        draws, _, picked = self._planned(step)
        return np.where(draws >= 0, picked[0][draws], -1)

    def save_assets(self, folder: Path) -> None:
        """Writes the tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(folder)

    def _index(self, spans, packing, data_dir):
        origin = [spans.file.meta["index_sha256"], self.length, self._shift]
        origin.append(hashlib.sha256(spans.first.tobytes()).hexdigest())
        name = tokenized.fingerprint(packing=packing, spans=origin)
        cache = tokenized.folder(data_dir, f"packing-{name}.npz")
        return make_index(packing, spans.first, spans.stop - spans.first, self.length, cache)

    def _fill(self, i, member, rows, epochs, length):
        """The arrays of some rows of a member, in epochs of its own."""
        found = [
            member.index.runs(int(row), self._shift_of(i, int(epoch)))
            for row, epoch in zip(rows, epochs, strict=True)
        ]
        first = np.concatenate([f for f, _ in found] or [np.zeros(0, np.int64)])
        count = np.concatenate([c for _, c in found] or [np.zeros(0, np.int64)])
        runs = Runs(first, count, np.array([len(f) for f, _ in found], np.int64))
        return fill(member.spans.file.tokens, runs, length, self._shift)

    def _shift_of(self, i, epoch):
        """Where the first row of a member's epoch begins, in tokens."""
        if not self.training:
            return 0
        return int(np.random.default_rng((self.seed, epoch, i, 2)).integers(self.length))

    def _planned(self, step):
        """(draws of the batch [batch_size], its length, (row number, own epoch) of each draw)."""
        (plan, picked), position = self._epochs.at(step)
        return plan.indices[position], int(plan.lengths[position]), picked

    def _plan(self, epoch):
        """The order of an epoch's draws, and what they draw, int64 [2, draws]: rows, own epochs."""
        picked = self._mixture.epoch(epoch)
        lengths = np.concatenate([member.index.lengths for member in self._members])
        plan = plan_epoch(
            lengths[picked[0]],
            self.batch_size,
            buckets=self.buckets,
            seed=self.seed,
            epoch=epoch,
            shuffle=self.training,
            group=self.group,
        )
        return plan, picked


def _to_predict(spans: Spans, shift: bool) -> Spans:
    """What of each document is a target, or is read; a first token that nothing is before is none."""
    first = spans.first + (shift and spans.file.meta["separator"] is None)
    real = spans.stop > first
    if not real.any():
        raise UserError(
            f"{spans.file.folder}: no document has two tokens, of which to predict one."
        )
    return spans._replace(first=first[real], stop=spans.stop[real])
