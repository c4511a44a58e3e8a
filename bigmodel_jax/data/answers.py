"""A source of questions whose answers are parts of a text, as in SQuAD; see data/questions.py.

config.data = dict(name="answers", path="squad/", tokenizer=dict(name="raw", ...), ...)
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_jax import config
from bigmodel_jax.data import pair_rows, questions
from bigmodel_jax.data.in_memory import InMemory, Read
from bigmodel_jax.data.questions import Question
from bigmodel_jax.data.token_files import file_sha256
from bigmodel_jax.data.windows import Windows
from bigmodel_jax.errors import UserError

SPLITS = {"train": "train[:95%]", "val": "train[95%:]", "test": "test"}


class Source(InMemory):
    """Batches of {"tokens", "types", "mask", "context", "start", "end", "valid"}.

    A row is a window of a question's context (data/windows.py, which has the first four). "start"
    and "end" [rows] int32 are the places of the first and the last token of the first answer that
    is given, both 0 where the window has not all of it; "valid" is bool [rows].

    Args:
        path: a file, all of it "train", or a folder with train-v1.1.json, dev-v1.1.json or the like.
            A dev file is "test" where there is no other; then validation is cut from train.
        files: names of the files by split, of a folder that has other names or several versions.
        reader: spec of a reader of paragraphs, such as synthetic_facts, in place of `path`.
        tokenizer: one that says which characters of a text its tokens are: raw or published.
        max_length: of a row, with the question and what stands around the two.
        stride: tokens between the beginnings of two windows of a context.
        max_question: tokens of a question.
        splits, buckets, batch_size, fingerprint, split, training, seed, group, data_dir, process: as
            in data/text.py; a hash keeps the questions of a context together.

    Attributes:
        questions: of this split.
        windows: of these; `windows.best` makes answers of what a model says of rows.
    """

    target = "spans"

    def __init__(
        self,
        *,
        tokenizer: Mapping,
        max_length: int,
        batch_size: int,
        path: str | None = None,
        files: Mapping[str, str | None] | None = None,
        reader: Mapping | None = None,
        splits: Mapping[str, str] = SPLITS,
        stride: int = 128,
        max_question: int = 64,
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
            read = _of_files(path, files or {})
        elif reader is not None:
            read = _of_reader(config.build("data.readers", reader, data_dir=data_dir))
        else:
            raise UserError(
                "Where are the questions? --config.data.path=FILE_OR_FOLDER names them."
            )
        self._room = {"max_length": max_length, "stride": stride, "max_question": max_question}
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
        self.info["unanswerable"] = not all(q.answers for q in self.train_examples)

    def learnt(self, examples: Sequence[Question]) -> Iterable[str]:
        texts = (text for asked in examples for text in (asked.question, asked.context))
        return dict.fromkeys(texts)  # a context that many questions share counts once

    def key(self, example: Question) -> tuple[str, ...]:
        return (example.context,)

    def encode(self, examples: Sequence[Question]) -> np.ndarray:
        self.questions = examples
        texts = [(asked.question, asked.context) for asked in examples]
        around = pair_rows.around(self.tokenizer)
        self.windows = Windows(texts, self.tokenizer, around, **self._room)
        spans = [_span(asked) for asked in examples]
        self._start, self._end = self.windows.places(spans)
        inside = np.bincount(self.windows.owner, self._start > 0, len(examples))
        lost = sum(span is not None and not n for span, n in zip(spans, inside, strict=True))
        notes = {
            "have a context of several windows": self.windows.several,
            "are longer than max_question and lose their ends": self.windows.cut,
            "have an answer that no window holds and that cannot be learnt": lost,
        }
        for what, count in notes.items():
            if count and self.training:
                self.say(f"{count:,} of {len(examples):,} questions {what}.")
        return self.windows.lengths

    def assemble(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        batch = self.windows.batch(rows, length)
        valid = rows >= 0
        batch["start"] = np.where(valid, self._start[rows], 0).astype(np.int32)
        batch["end"] = np.where(valid, self._end[rows], 0).astype(np.int32)
        return {**batch, "valid": valid}


def _span(asked: Question) -> tuple[int, int] | None:
    """The characters of the first answer."""
    if not asked.answers:
        return None
    text, start = asked.answers[0]
    return start, start + len(text)


def _of_files(path: str, named: Mapping[str, str | None]) -> Read:
    files = questions.find(path, named)
    hashes = [[split, [file_sha256(file) for file in found]] for split, found in files.items()]
    read = {
        split: [q for file in found for q in questions.read(file)] for split, found in files.items()
    }
    return Read(Path(path).name, False, hashes, read)


def _of_reader(reader: Any) -> Read:
    read = {
        split: [
            asked
            for i, item in enumerate(reader.examples(split))
            for asked in questions.paragraph(f"{reader.name} {split} paragraph {i}", item)
        ]
        for split in reader.splits
    }
    return Read(reader.name, reader.synthetic, [reader.fingerprint()], read)
