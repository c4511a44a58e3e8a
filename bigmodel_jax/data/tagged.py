"""Reads CoNLL files: a token and its tag a line, a blank line between sentences.

    EU      B-ORG
    rejects O

Columns are separated by tabs, or by spaces where a line has no tab; what lies between the token and
the tag is not read. Tags of entities are in IOB2 ("B-ORG I-ORG O"), or any others (parts of speech).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bigmodel_jax.data.compressed import open_plain
from bigmodel_jax.data.lines import Lines
from bigmodel_jax.errors import UserError

DOCUMENT = "-DOCSTART-"  # CoNLL-2003's line between two documents


class Sentence(NamedTuple):
    """Words with a tag each; `place` is where it begins, for messages."""

    words: list[str]
    tags: list[str]
    place: str


def read(path: Path, token_column: int = 0, tag_column: int = -1) -> Iterator[Sentence]:
    """The sentences of a file.

    Raises:
        UserError: a line without such columns, or tags that are not in IOB2, with the line.
    """
    words: list[str] = []
    tags: list[str] = []
    place = ""
    with open_plain(path) as file:
        lines = Lines(path, file)
        for raw in lines:
            line = raw.rstrip("\r\n")
            if not line.strip():
                if words:
                    yield Sentence(words, tags, place)
                words, tags = [], []
                continue
            where = f"{path} line {lines.line}"
            word, tag = _columns(line, where, token_column, tag_column)
            if word == DOCUMENT:
                continue
            check_tag(tags[-1] if tags else "O", tag, where)
            place = place if words else where
            words.append(word)
            tags.append(tag)
    if words:
        yield Sentence(words, tags, place)


def _columns(line: str, where: str, token_column: int, tag_column: int) -> tuple[str, str]:
    columns = line.split("\t") if "\t" in line else line.split()
    try:
        word, tag = columns[token_column].strip(), columns[tag_column].strip()
    except IndexError:
        word = tag = ""
    if len(columns) < 2 or not word or not tag:
        raise UserError(
            f"{where} holds no token and tag, but {line.strip()[:40]!r}: a line is a token, a tab and "
            "a tag, and a blank line ends a sentence."
        )
    return word, tag


def check_tag(before: str, tag: str, where: str) -> None:
    """Raises a UserError where an entity goes on that has not begun."""
    if tag.startswith("I-") and before[2:] != tag[2:]:
        raise UserError(
            f"{where}: {tag!r} follows {before!r}, which is not IOB2: the first token of every entity "
            f"is tagged 'B-{tag[2:]}'."
        )


def tag_names(sentences: Sequence[Sentence]) -> tuple[str, ...]:
    """All tags that occur: "O" first, then entities by name, each B- before I-."""
    found = {tag for sentence in sentences for tag in sentence.tags}
    return tuple(sorted(found, key=lambda tag: (tag != "O", tag[2:] or tag, tag)))
