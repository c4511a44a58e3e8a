"""What `predict` asks of a run, whatever its task: answers to texts, and how they are printed."""

import abc
import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bigmodel_jax import apply, config, experiment, rundir
from bigmodel_jax.applied import Explaining, Text
from bigmodel_jax.applied.printing import Show, json_lines
from bigmodel_jax.data.rows import check_buckets
from bigmodel_jax.errors import UserError


class Answers(apply.Loaded, abc.ABC):
    """A run that answers texts, or images.

    Attributes:
        data: the sources whose way to prepare them it knows.
        reads: "texts"; or "images", whose paths then stand in place of texts; or "users", their names.
    """

    data: tuple[str, ...] = ()
    reads = "texts"

    def texts(self, given: Iterable[Text], tabs: bool) -> Iterator[Text]:
        """The texts as the run reads them, checked one by one.

        Args:
            tabs: a text may be a pair with a tab between.
        """
        for text in given:
            if not isinstance(text, str):
                raise UserError(
                    "This run reads single texts, not pairs: leave out --pair_text and --pair_column."
                )
            check_characters(text)
            yield text

    def pairs_of(self, given: Iterable[Text], tabs: bool) -> Iterator[tuple[str, str]]:
        """Pairs, for a run that reads these: of one string what stands before and behind its first tab.

        Args:
            tabs: as of `texts`.
        """
        for text in given:
            if isinstance(text, str):
                first, tab, second = text.partition("\t")
                if not tab or not tabs:
                    raise UserError(
                        "This run reads pairs of texts: give a --pair_text for each --text, or "
                        "a --file with --pair_column, or lines with a tab between the two."
                    )
                text = first, second
            for part in text:
                check_characters(part)
            yield text

    @abc.abstractmethod
    def answers(self, texts: Sequence[Any], batch_size: int = 0) -> list[Any]:
        """An answer to each text.

        Args:
            batch_size: rows that batches are padded to, so that few shapes are compiled; more where
                there are more texts, or the devices do not divide it.
        """

    @abc.abstractmethod
    def as_json(self, answer: Any) -> dict[str, Any]:
        """An answer as a line of JSON."""

    @abc.abstractmethod
    def table(self) -> Show:
        """Answers as a table."""

    def notes(self) -> list[str]:
        """What to say when all answers are given."""
        return []

    @contextlib.contextmanager
    def shown(self, form: str, explaining: Explaining | None) -> Iterator[Show]:
        """Prints answers: "jsonl", or a "table".

        Raises:
            UserError: they cannot be explained.
        """
        if explaining:
            raise UserError(
                f"--explain is of a label or a number, and this run's task is "
                f"{self.config['task']['name']!r}: leave it out."
            )
        yield json_lines(self.as_json) if form == "jsonl" else self.table()
        for note in self.notes():
            print(f"NOTE: {note}", file=sys.stderr)

    def slices(self, count: int, size: int) -> Iterator[np.ndarray]:
        """Which of `count` rows are computed together, [size or more] each; -1 is a row of padding."""
        size = -(-size // self.rows) * self.rows
        for start in range(0, count, size):
            rows = np.arange(start, start + size)
            yield np.where(rows < count, rows, -1)


def check_characters(text: str) -> None:
    """Raises a UserError for a text that is none in UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can write them
        raise UserError(
            f"A text holds half of a character, {text[error.start]!r}, which no UTF-8 text has: take "
            "it out."
        ) from error


def bucket(kept: int, most: int) -> int:
    """The padded length of a batch whose longest row has `kept` tokens, of rows of `most`."""
    buckets = check_buckets((), most)
    return buckets[int(np.searchsorted(buckets, kept))]


@contextlib.contextmanager
def load_answers(workdir: str | Path) -> Iterator[Answers]:
    """The trained model of a run, as its task is applied to texts; see apply.load.

    Raises:
        UserError: it is no run that says anything of texts; or any of apply.load.
    """
    settings = rundir.read_config(workdir)
    task, data = experiment.make_task(settings), settings["data"]["name"]
    source = config.component("data", data)
    name = getattr(source, "applied", getattr(task, "applied", None))
    if name is None:
        raise UserError(
            f"{workdir} is a run of the task {settings['task']['name']!r}, which says nothing of texts."
        )
    kind: Any = config.component("applied", name)
    if data not in kind.data:
        raise UserError(
            f"{workdir} is a run of the task {settings['task']['name']!r} on the data {data!r}; how texts "
            f"are prepared is known of {' and '.join(map(repr, kind.data))}."
        )
    with apply.load(workdir, kind) as run:
        yield run
