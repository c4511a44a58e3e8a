"""A source of pairs of texts, one to be read and one to be written: translations, summaries, answers.

    config.data = dict(name="pairs", path="pairs.tsv", tokenizer=dict(name="raw", ...), ...)
    config.data = dict(name="pairs", corpora=(
        dict(path="en-de.tsv", prefix="translate English to German: ", weight=2.0),
        dict(path="news.jsonl", source_column="article", target_column="summary", prefix="summarize: "),
    ), ...)

One tokenizer is of both texts. Several pairs share a row (data/pair_packing.py), in which each sees
itself alone, so that all batches have one shape; the batch of a step is a pure function of (seed, step).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.data import pair_corpora, prepared, tokenized, tokenizing
from bigmodel_jax.data.checks import check_batch_size, check_fingerprint
from bigmodel_jax.data.mixture import Mixture
from bigmodel_jax.data.order import Epochs, batches_per_epoch, plan_epoch
from bigmodel_jax.data.packing import Runs, fill
from bigmodel_jax.data.pair_corpora import Corpus, Pair
from bigmodel_jax.data.pair_packing import Packed, exchanged, pack
from bigmodel_jax.errors import UserError

SPLITS = {"train": "train[:90%]", "val": "train[90%:]", "test": "test"}
START = 0  # before the first token of a target: padding, as T5 has it


class Side(NamedTuple):
    """All sources, or all targets, one after another.

    Attributes:
        flat: ids int32; of targets START before each.
        first, count: where what is read, or predicted, of each begins, and its tokens; int64 [pairs].
    """

    flat: np.ndarray
    first: np.ndarray
    count: np.ndarray


class Member(NamedTuple):
    """One corpus of a mixture, encoded; `rows` are those that it is packed into."""

    pairs: list[Pair]
    source: Side
    target: Side
    rows: Packed


class Source:
    """Batches of {"source", "source_segments", "source_positions", "tokens", "targets", "segments",
    "positions", "mask", "valid", "index"}.

    The first three are int32 [rows, source_length], the others int32 [rows, target_length], but "mask"
    bool, True where "targets" count; "valid" bool and "index" int32 [rows]. "targets" are a target's
    tokens and the separator, which ends it, "tokens" those before: START and all but the last. A source
    ends with the separator, too. "segments" number the pairs of a row, from 1; 0 is padding.

    Args:
        path: files, of which those named train, val and test are these splits.
        reader: spec of a reader of pairs in place of `path`.
        source_column, target_column: names of the columns or keys; None is "source" and "target" of
            files, "text" and "pair" of a reader.
        prefix: stands before each source.
        corpora: several of the above, dict(path=..., prefix=..., weight=...): while training, rows come
            from each in proportion to the weights; without weights as many as there are.
        tokenizer: spec of a tokenizer that gives text back, trained on all texts of the training part
            if need be.
        source_length, target_length: of a row, in tokens. A longer text is cut.
        splits, batch_size (in rows), fingerprint, split, training, seed, group, data_dir, process: as
            in data/tokens.py.

    Attributes:
        pairs: the texts of the split, with prefixes; how they are packed has no part in it.
        start: the id before the first token of a target.
        padding: the share of padding in the rows.
        tokens, bytes_per_token: targets' tokens, and UTF-8 bytes of their text for each.
    """

    def __init__(
        self,
        *,
        tokenizer: Mapping,
        source_length: int,
        target_length: int,
        batch_size: int,
        path: str | None = None,
        reader: Mapping | None = None,
        source_column: str | None = None,
        target_column: str | None = None,
        prefix: str = "",
        corpora: Sequence[Mapping] = (),
        splits: Mapping[str, str] = SPLITS,
        fingerprint: str = "",
        split: str = "train",
        training: bool = True,
        seed: int = 0,
        group: int = 1,
        data_dir: str = "",
        process: tuple[int, int] = (0, 1),
    ):
        self.batch_size, self.training, self.seed, self.group = batch_size, training, seed, group
        self.process, self._room = process, (source_length, target_length)
        self.source_length, self.start = source_length, START
        if min(self._room) < 2:
            raise UserError(
                f"config.data.source_length and target_length are {source_length} and {target_length}; "
                "a text has at least 2 tokens."
            )
        check_batch_size(batch_size, process[1])
        data_dir = data_dir or prepared.default_data_dir()
        one = {"path": path, "reader": None if path else reader, "prefix": prefix}
        one |= {"source_column": source_column, "target_column": target_column}
        self._corpora = [Corpus(spec, splits, data_dir) for spec in corpora or [one]]
        self.reader_name = " + ".join(corpus.name for corpus in self._corpora)
        self.synthetic = any(corpus.synthetic for corpus in self._corpora)
        self.tokenizer, identity = self._tokenizer(tokenizer, splits, data_dir)
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()
        check_fingerprint(self.reader_name, self.fingerprint, fingerprint)
        self._cut = 0
        self._members = [self._member(corpus.pairs(split)) for corpus in self._corpora]
        self.pairs = [pair for member in self._members for pair in member.pairs]
        rows = [len(member.rows.offsets) - 1 for member in self._members]
        weights = [corpus.weight if training else None for corpus in self._corpora]
        self._mixture = Mixture(rows, weights, seed)
        self.examples = sum(self._mixture.draws)
        self.steps_per_epoch = batches_per_epoch(self.examples, batch_size, group)
        read, self.tokens = (
            sum(int(getattr(member, side).count.sum()) for member in self._members)
            for side in ("source", "target")
        )
        self.bytes_per_token = sum(len(pair.target.encode()) for pair in self.pairs) / self.tokens
        self.padding = 1 - (read + self.tokens) / (sum(rows) * sum(self._room))
        self.info = {"vocabulary_size": self.tokenizer.vocabulary_size}
        self._epochs = Epochs(self._plan, self.steps_per_epoch, training)
        if training and process[0] == 0:
            self._describe(sum(rows))

    def check_split(self, split: str) -> None:
        """Raises a UserError for an unknown or empty split: evaluators open theirs late."""
        for corpus in self._corpora:
            corpus.pairs(split)

    def peek(self) -> dict[str, np.ndarray]:
        """A batch of this process's share, for shapes."""
        return self.batch(0)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """The rows of this process in the batch of a step; a pure function of (seed, step)."""
        draws, (picked, order) = self._planned(step)
        index, count = self.process
        draws = np.split(draws, count)[index]
        number = np.where(draws >= 0, picked[0, draws], -1)
        batch: dict[str, np.ndarray] = {}
        for i, member in enumerate(self._members):
            inside = np.flatnonzero(
                (number >= self._mixture.first[i]) & (number < self._mixture.first[i + 1])
            )
            found = []
            for row, epoch in zip(number[inside], picked[1, draws[inside]], strict=True):
                pairs = member.rows.row(int(row - self._mixture.first[i]))
                found.append(order[i][int(epoch)][pairs] if self.training else pairs)
            for key, values in self._fill(member, found).items():
                whole = batch.setdefault(
                    key, np.zeros((len(number), values.shape[1]), values.dtype)
                )
                whole[inside] = values
        return {**batch, "valid": number >= 0, "index": number.astype(np.int32)}

    def rows(self, step: int) -> np.ndarray:
        """Which rows of the split the batch of a step holds over all processes, [batch_size]; -1 pads."""
        draws, (picked, _) = self._planned(step)
        return np.where(draws >= 0, picked[0, draws], -1)

    def save_assets(self, folder: Path) -> None:
        """Writes the tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(folder)

    def _tokenizer(self, spec, splits, data_dir):
        """(the tokenizer, from the cache or trained now; what the data are, as text)."""
        built = tokenizing.build(spec)
        origin = {"corpora": [corpus.identity for corpus in self._corpora]}
        origin |= {"file": getattr(built, "identity", str)()}
        identity = json.dumps(origin, sort_keys=True, default=str)
        name = tokenized.fingerprint(pairs=identity, tokenizer=spec, train=splits["train"])
        folder = tokenized.folder(data_dir, f"tokenizer-{name}")
        found = tokenizing.trained(spec, folder, pair_corpora.texts(self._corpora, "train"))
        if found.separator is None:
            raise UserError(
                "The tokenizer has no separator to end a text with: config.data.tokenizer needs another, "
                'such as dict(name="raw").'
            )
        return found, identity

    def _member(self, pairs: list[Pair]) -> Member:
        source, target = (
            self._side([text[side] for text in pairs], self._room[side], before)
            for side, before in ((0, []), (1, [START]))
        )
        return Member(pairs, source, target, pack(source.count, target.count, self._room))

    def _side(self, texts: list[str], room: int, before: list[int]) -> Side:
        ids = [encode(x, self.tokenizer) for x in texts]
        self._cut += sum(len(x) > room for x in ids)
        ids = [shorten(x, room) for x in ids]
        count = np.array([len(x) for x in ids], np.int64)
        first = np.cumsum(count + len(before)) - count
        start = np.array(before, np.int32)
        return Side(np.concatenate([part for x in ids for part in (start, x)]), first, count)

    def _fill(self, member: Member, rows: list[np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays of rows of these pairs."""
        pairs = np.concatenate([np.zeros(0, np.int64), *rows])
        sizes = np.array([len(row) for row in rows], np.int64)
        found = []
        for side, room in zip((member.source, member.target), self._room, strict=True):
            runs = Runs(side.first[pairs], side.count[pairs], sizes)
            found.append(fill(side.flat, runs, room, shift=side is member.target))
        source, target = found
        names = {"tokens": "source", "segments": "source_segments", "positions": "source_positions"}
        return {**{new: source[old] for old, new in names.items()}, **target}

    def _planned(self, step):
        """(draws of the batch [batch_size], what the epoch draws)."""
        (plan, drawn), position = self._epochs.at(step)
        return plan.indices[position], drawn

    def _plan(self, epoch):
        """The order of an epoch's draws; what they draw, and by corpus and its own epoch its pairs."""
        picked = self._mixture.epoch(epoch)
        order: list[dict[int, np.ndarray]] = []
        first = self._mixture.first
        for i, member in enumerate(self._members):
            own = picked[1, (picked[0] >= first[i]) & (picked[0] < first[i + 1])]
            lengths = (member.source.count, member.target.count)
            order.append({int(e): exchanged(*lengths, (self.seed, int(e), i, 4)) for e in np.unique(own)})  # fmt: skip
        plan = plan_epoch(
            np.ones(self.examples, np.int64),
            self.batch_size,
            buckets=(1,),
            seed=self.seed,
            epoch=epoch,
            shuffle=self.training,
            group=self.group,
        )
        return plan, (picked, order)

    def _describe(self, rows: int) -> None:
        if self._cut:
            print(
                f"NOTE: {self._cut:,} texts are longer than config.data.source_length or target_length "
                f"{self._room} and lose their ends.",
                flush=True,
            )
        print(
            f"{self.reader_name}: {len(self.pairs):,} pairs with {self.tokens:,} tokens to be written in "
            f"{rows:,} rows of {self._room[0]} and {self._room[1]}, {self.padding:.1%} padding.",
            flush=True,
        )


def encode(text: str, tokenizer: Any) -> np.ndarray:
    """Ids of a source or a target, the separator at its end, int32 [length]."""
    return np.append(tokenizer.encode(text), np.int32(tokenizer.separator)).astype(np.int32)


def shorten(ids: np.ndarray, most: int) -> np.ndarray:
    """The beginning of a text that is too long, with its end behind it."""
    return ids if len(ids) <= most else np.append(ids[: most - 1], ids[-1:])
