"""A source of sentences with a tag for each word, such as named entities, from CoNLL files.

    config.data = dict(name="conll", path="conll2003/", tokenizer=dict(name="raw", ...), ...)

A word is one or several pieces: its first has the word's tag, the others have none (-1), as in BERT's
fine-tuning. Tags are counted by words, so that no tokenizer changes what a score means.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import tagged
from bigmodel_jax.data.corpora import by_split
from bigmodel_jax.data.encoding import save_labels
from bigmodel_jax.data.in_memory import InMemory, Read
from bigmodel_jax.data.rows import Around, around
from bigmodel_jax.data.tagged import Sentence
from bigmodel_jax.data.token_files import file_sha256
from bigmodel_jax.errors import UserError, nearest

NO_TAG = -1
SPLITS = {"train": "train[:90%]", "val": "train[90%:]", "test": "test"}


class Source(InMemory):
    """Batches of {"tokens", "mask", "label", "valid"}.

    "tokens" and "label" are int32 [rows, length], the label NO_TAG (-1) behind a word's first piece
    and in padding; "mask" is bool [rows, length], "valid" bool [rows]. A sentence longer than
    max_length is several rows, cut between words.

    Args:
        path: a file, a folder or a pattern; files named train, val, test are these splits.
        reader: spec of a reader of words and tags, such as synthetic_entities, in place of `path`.
        token_column, tag_column: of a line, from 0, or from the end with -1.
        tokenizer: spec of a tokenizer, trained on the words of the training part if need be.
        splits, max_length, buckets, batch_size, fingerprint, split, training, seed, group, data_dir,
            process: as in data/text.py.
    """

    target = "tags"

    def __init__(
        self,
        *,
        tokenizer: Mapping,
        max_length: int,
        batch_size: int,
        path: str | None = None,
        reader: Mapping | None = None,
        splits: Mapping[str, str] = SPLITS,
        token_column: int = 0,
        tag_column: int = -1,
        buckets: Sequence[int] = (),
        fingerprint: str = "",
        split: str = "train",
        training: bool = True,
        seed: int = 0,
        group: int = 1,
        data_dir: str = "",
        process: tuple[int, int] = (0, 1),
    ):
        if path is not None:
            read = _of_files(path, token_column, tag_column)
        elif reader is not None:
            read = _of_reader(config.build("data.readers", reader, data_dir=data_dir))
        else:
            raise UserError(
                "Where are the sentences? --config.data.path=FILE_OR_FOLDER names them."
            )
        super().__init__(
            read,
            splits=splits,
            tokenizer=config.build("data.tokenizers", tokenizer),
            max_length=max_length,
            batch_size=batch_size,
            buckets=buckets,
            fingerprint=fingerprint,
            split=split,
            training=training,
            seed=seed,
            group=group,
            process=process,
        )
        self.info["num_classes"] = len(self.label_names)

    def learnt(self, examples: Sequence[Sentence]) -> Iterable[str]:
        return (" ".join(sentence.words) for sentence in examples)

    def key(self, example: Sentence) -> tuple[str, ...]:
        return (" ".join(example.words),)

    def encode(self, examples: Sequence[Sentence]) -> np.ndarray:
        self.label_names = tagged.tag_names(self.train_examples)
        if len(self.label_names) < 2:
            raise UserError(
                f"All words of {self.reader_name} have the tag {''.join(self.label_names)!r}."
            )
        ids = {name: i for i, name in enumerate(self.label_names)}
        for sentence in examples:
            for tag in sentence.tags:
                if tag not in ids:
                    raise UserError(
                        f"{sentence.place}: the tag {tag!r} of this sentence is not among those of the "
                        f"training part.{nearest(tag, ids)}"
                    )
        self._rows, cut = encode_rows(examples, self.tokenizer, self.max_length, ids)
        if cut:
            self.say(
                f"{cut:,} of {len(examples):,} sentences are longer than max_length "
                f"{self.max_length}, and are cut between words."
            )
        self.labels = [label for _, label in self._rows]
        return np.array([len(tokens) for tokens, _ in self._rows])

    def assemble(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        return make_batch([self._rows[row] if row >= 0 else None for row in rows], length)

    def save_assets(self, folder: Path) -> None:
        """Writes the tokenizer and the names of the tags."""
        super().save_assets(folder)
        save_labels(folder, self.label_names, self.target)


def _of_files(path: str, token_column: int, tag_column: int) -> Read:
    files = by_split([path])
    read = {
        name: [s for file in found for s in tagged.read(file, token_column, tag_column)]
        for name, found in files.items()
    }
    hashes = [[name, [file_sha256(file) for file in found]] for name, found in files.items()]
    return Read(Path(path).name, False, [*hashes, token_column, tag_column], read)


def _of_reader(reader: Any) -> Read:
    """The sentences of a reader of words and tags."""
    read = {
        name: [
            Sentence(example["words"], example["tags"], f"{reader.name} {name} example {i}")
            for i, example in enumerate(reader.examples(name))
        ]
        for name in reader.splits
    }
    return Read(reader.name, reader.synthetic, [reader.fingerprint()], read)


Row = tuple[np.ndarray, np.ndarray]  # tokens, labels; int32 [length]


def encode_rows(
    sentences: Sequence[Sentence], tokenizer: Any, max_length: int, ids: Mapping[str, int]
) -> tuple[list[Row], int]:
    """(rows of at most max_length pieces, how many sentences are several).

    What the tokenizer's template sets around a text stands around each row.
    """
    ends = around(tokenizer, pairs=False)
    max_length -= ends.ends
    lossless = hasattr(tokenizer, "decode")  # then the space before a word is part of its pieces
    parts = [
        f" {word}" if lossless and i else word
        for sentence in sentences
        for i, word in enumerate(sentence.words)
    ]
    known = {word: tokenizer.encode(word) for word in dict.fromkeys(parts)}
    nothing = [tokenizer.mask or 0]  # of a word of which the tokenizer leaves nothing
    words = iter(parts)
    rows, cut = [], 0
    for sentence in sentences:
        before, tokens, labels = len(rows), [], []
        for tag in sentence.tags:
            pieces = known[next(words)]
            pieces = pieces[:max_length].tolist() or nothing
            if len(tokens) + len(pieces) > max_length:
                rows.append(_row(tokens, labels, ends))
                tokens, labels = [], []
            tokens += pieces
            labels += [ids[tag], *[NO_TAG] * (len(pieces) - 1)]
        rows.append(_row(tokens, labels, ends))
        cut += len(rows) - before > 1
    return rows, cut


def _row(tokens: list[int], labels: list[int], ends: Around) -> Row:
    tokens = [*ends.before, *tokens, *ends.after]
    labels = [*[NO_TAG] * len(ends.before), *labels, *[NO_TAG] * len(ends.after)]
    return np.array(tokens, np.int32), np.array(labels, np.int32)


def make_batch(rows: Sequence[Row | None], length: int) -> dict[str, np.ndarray]:
    """Rows padded to a length; None is a row of padding."""
    tokens = np.zeros((len(rows), length), np.int32)
    label = np.full((len(rows), length), NO_TAG, np.int32)
    for i, row in enumerate(rows):
        if row is not None:
            tokens[i, : len(row[0])], label[i, : len(row[1])] = row
    kept = np.array([0 if row is None else len(row[0]) for row in rows])
    mask = np.arange(length) < kept[:, None]
    return {"tokens": tokens, "mask": mask, "label": label, "valid": kept > 0}
