"""A source of questions with several choices, of which one is right.

    config.data = dict(name="choices", path="swag/", context_column="sent1", question_column="sent2",
        choice_columns=("ending0", "ending1", "ending2", "ending3"), tokenizer=..., ...)

The files are CSV, TSV, JSONL or Parquet, with the choices in a column each, or in one that is a list.
"""

import string
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import pair_rows, records
from bigmodel_jax.data.compressed import extension
from bigmodel_jax.data.corpora import by_split
from bigmodel_jax.data.in_memory import InMemory, Read
from bigmodel_jax.data.pair_rows import Pair
from bigmodel_jax.data.rows import Around
from bigmodel_jax.data.token_files import file_sha256
from bigmodel_jax.errors import UserError

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")
SPLITS = {"train": "train[:90%]", "val": "train[90%:]", "test": "test"}


class Example(NamedTuple):
    """A context, what each choice completes, and which one is right, from 0."""

    context: str
    question: str
    choices: tuple[str, ...]
    label: int

    def pairs(self) -> list[tuple[str, str]]:
        """The texts of each choice: the context; the question, if there is one, and the choice."""
        return [(self.context, f"{self.question} {one}".strip()) for one in self.choices]


class Source(InMemory):
    """Batches of {"tokens", "types", "mask", "real", "label", "valid"}.

    The first three are [rows, choices, length], as of data/pair_rows.py: each choice is a pair of the
    context and of the question with the choice behind it, cut to max_length tokens, of the longer
    text first. "real" is bool [rows, choices]: an example may have fewer choices than others. "label"
    is int32 [rows], "valid" bool [rows].

    Args:
        path: a file, a folder or a pattern; files named train, val, test are these splits.
        reader: spec of a reader of such examples, such as synthetic_endings, in place of `path`.
        context_column, question_column: of the texts; the latter may be None.
        choice_columns: of the choices: one that is a list, or one for each; the last of these may be
            empty in a line, which then has fewer.
        label_column: of the right one: its number from 0, or its letter, A or a for the first.
        tokenizer: one that knows what stands between two texts: raw or published.
        splits, max_length, buckets, batch_size, fingerprint, split, training, seed, group, data_dir,
            process: as in data/text.py; a hash keeps the questions of a context together.

    Attributes:
        labels: int [examples].
    """

    target = "choice"

    def __init__(
        self,
        *,
        tokenizer: Mapping,
        max_length: int,
        batch_size: int,
        path: str | None = None,
        reader: Mapping | None = None,
        context_column: str = "context",
        question_column: str | None = None,
        choice_columns: Sequence[str] = ("choices",),
        label_column: str = "label",
        splits: Mapping[str, str] = SPLITS,
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
            columns = {"--config.data.context_column": context_column}
            columns |= {"--config.data.question_column": question_column} if question_column else {}
            columns["--config.data.label_column"] = label_column
            named = {f"--config.data.choice_columns[{i}]": c for i, c in enumerate(choice_columns)}
            read = _of_files(path, {**columns, **named}, question_column is not None)
        elif reader is not None:
            read = _of_reader(config.build("data.readers", reader, data_dir=data_dir))
        else:
            raise UserError(
                "Where are the questions? --config.data.path=FILE_OR_FOLDER names them."
            )
        super().__init__(
            read,
            splits=splits,
            tokenizer=pair_rows.build_tokenizer(tokenizer),
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

    def learnt(self, examples: Sequence[Example]) -> Iterable[str]:
        return dict.fromkeys(  # a context that its choices share counts once
            text for example in examples for pair in example.pairs() for text in pair
        )

    def key(self, example: Example) -> tuple[str, ...]:
        return (example.context,)

    def encode(self, examples: Sequence[Example]) -> np.ndarray:
        self._examples = examples
        self.labels = np.array([example.label for example in examples], np.int32)
        pairs = [example.pairs() for example in examples]
        self._around = pair_rows.around(self.tokenizer)
        self._pairs, cut = encode_pairs(pairs, self.tokenizer, self._around, self.max_length)
        self._most = max(map(len, pairs))
        self.label_names = tuple(f"choice {i}" for i in range(1, self._most + 1))
        if cut and self.training:
            self.say(
                f"{cut:,} of {len(examples):,} questions have a choice that is longer, with its "
                f"context, than max_length {self.max_length}, and lose their ends."
            )
        return row_lengths(self._pairs, self._around)

    def assemble(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        valid = rows >= 0
        chosen = [self._pairs[row] if row >= 0 else () for row in rows]
        batch = make_batch(chosen, self._around, self._most, length)
        label = np.where(valid, self.labels[rows], 0).astype(np.int32)
        return {**batch, "label": label, "valid": valid}

    def texts(self, indices: Sequence[int]) -> list[str]:
        """The context and the choices of examples of this split, with " ||| " between."""
        return [" ||| ".join(self.learnt([self._examples[int(i)]])) for i in indices]


def encode_pairs(
    examples: Sequence[Sequence[tuple[str, str]]], tokenizer: Any, around: Around, max_length: int
) -> tuple[list[list[Pair]], int]:
    """(the ids of the pairs of each example, how many have one that is cut).

    Raises:
        UserError: max_length has no room for a token of each text.
    """
    room = max_length - around.count
    if room < 2:
        raise UserError(
            f"config.data.max_length {max_length} has no room for two texts and the {around.count} "
            "tokens around them."
        )
    texts = list(dict.fromkeys(text for pairs in examples for pair in pairs for text in pair))
    ids = dict(zip(texts, tokenizer.encode_batch(texts), strict=True))
    found, cut = [], 0
    for pairs in examples:
        whole = [tuple(ids[text] for text in pair) for pair in pairs]
        cut += any(len(first) + len(second) > room for first, second in whole)
        found.append([_cut(first, second, room) for first, second in whole])
    return found, cut


def _cut(first: np.ndarray, second: np.ndarray, room: int) -> Pair:
    """The heads of two texts that have room together; the longer is cut first."""
    short = min(len(first), len(second), room // 2)
    if len(first) <= len(second):
        return first[:short], second[: room - short]
    return first[: room - short], second[:short]


def row_lengths(examples: Sequence[Sequence[Pair]], around: Around) -> np.ndarray:
    """The tokens of the longest choice of each example, int64 [examples]."""
    return np.array(
        [max(len(a) + len(b) for a, b in pairs) + around.count for pairs in examples], np.int64
    )


def make_batch(
    examples: Sequence[Sequence[Pair]], around: Around, most: int, length: int
) -> dict[str, np.ndarray]:
    """{"tokens", "types", "mask": [rows, most, length], "real": [rows, most]}; no pairs are padding."""
    flat = [pair for pairs in examples for pair in [*pairs, *[None] * (most - len(pairs))]]
    batch = pair_rows.fill(around, flat, length)
    batch = {key: x.reshape(len(examples), most, length) for key, x in batch.items()}
    return {**batch, "real": np.any(batch["mask"], axis=-1)}


def _of_files(path: str, columns: Mapping[str, str], asked: bool) -> Read:
    """Of columns of the context, perhaps of the question, of the label and of the choices."""
    files = by_split([path])
    for file in (file for found in files.values() for file in found):
        if extension(file) not in FORMATS:
            raise UserError(
                f"{file} is none of {', '.join(FORMATS)}, which hold questions in columns."
            )
    read = {
        split: [
            _example(place, context, rest[0] if asked else "", rest[asked + 1 :], rest[asked])
            for file in found
            for place, (context, *rest) in records.read(file, columns)
        ]
        for split, found in files.items()
    }
    hashes = [[split, [file_sha256(file) for file in found]] for split, found in files.items()]
    return Read(Path(path).name, False, [*hashes, list(columns.values())], read)


def _of_reader(reader: Any) -> Read:
    read = {
        split: [
            _example(
                f"{reader.name} {split} example {i}",
                item["context"],
                item["question"],
                [item["choices"]],
                item["label"],
            )
            for i, item in enumerate(reader.examples(split))
        ]
        for split in reader.splits
    }
    return Read(reader.name, reader.synthetic, [reader.fingerprint()], read)


def _example(place: str, context: Any, question: Any, choices: list, label: Any) -> Example:
    """An example from what stands in its columns.

    Raises:
        UserError: they are not as the source's docstring says; `place` says where.
    """
    several = choices[0] if len(choices) == 1 else choices
    if not isinstance(several, (list, tuple, np.ndarray)):
        raise UserError(
            f"{place}: the choices are a list, not {several!r:.40}; name a column for each with "
            "--config.data.choice_columns=\"('a', 'b')\"."
        )
    several = list(several)
    while len(choices) > 1 and several and several[-1] in ("", None):
        several.pop()
    for what, text in [("context", context), *(("choice", one) for one in several)]:
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{place}: a {what} is a text, not {text!r:.40}.")
    if not isinstance(question, str):
        raise UserError(f"{place}: a question is a text, not {question!r:.40}.")
    for text in (context, question, *several):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:  # JSON can write them
            raise UserError(
                f"{place} holds half of a character, {text[error.start]!r}, which no UTF-8 text has: "
                "take it out."
            ) from error
    if len(several) < 2:
        raise UserError(f"{place} has {len(several)} choices: there must be two at least.")
    return Example(context, question, tuple(several), _label(place, label, len(several)))


def _label(place: str, label: Any, count: int) -> int:
    text = str(label).strip()
    number = int(text) if text.isascii() and text.isdigit() else -1
    if len(text) == 1 and text.upper() in string.ascii_uppercase:
        number = string.ascii_uppercase.index(text.upper())
    if not 0 <= number < count:
        raise UserError(
            f"{place}: the label {text[:20]!r} is none of its {count} choices: it is a number from 0 to "
            f"{count - 1}, or a letter from A to {string.ascii_uppercase[min(count, 26) - 1]}."
        )
    return number
