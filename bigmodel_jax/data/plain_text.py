"""Plain text files of any size, read in pieces that are cut where any tokenizer would cut."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bigmodel_jax.data.compressed import open_plain
from bigmodel_jax.data.lines import MAX_LINE, not_utf8

BLOCK = 1 << 20  # bytes that are decoded at once
LONG = 16 << 20  # characters that must not go on without a line end


class Piece(NamedTuple):
    """A document, or a part of a long one.

    Attributes:
        place: where it is, for messages.
        begins, ends: whether it is the first of its document, and the last.
    """

    text: str
    place: str
    begins: bool = True
    ends: bool = True


def clean_cuts(path: Path, size: int, every: int, any_line: bool) -> list[int]:
    """Where to cut a large file: after a line end, about `every` bytes apart.

    Args:
        any_line: else only where no white space is beside the line end: there no piece of a
            tokenizer reaches over it.
    """
    found = []
    with path.open("rb") as file:
        for target in range(every, size - every // 2, every):
            if found and target <= found[-1]:
                continue
            file.seek(target)
            file.readline(MAX_LINE)
            while (at := file.tell()) < size:
                file.seek(at - 2)
                before, after = file.read(1), file.read(2)[1:]
                file.seek(at)
                if any_line or not (before.isspace() or after.isspace()):
                    found.append(at)
                    break
                file.readline(MAX_LINE)
    return found


def pieces(path: Path, start: int, stop: int) -> Iterator[Piece]:
    """The text of a file as one document; between two `clean_cuts`, if it has any.

    Raises:
        UserError: it is not UTF-8.
    """
    whole = path.stat().st_size
    decode = codecs.getincrementaldecoder("utf-8")().decode
    with open_plain(path) as file:
        packed = file.seekable() is False
        if not packed:
            file.seek(start)
        left, position, begins = "", start, start == 0
        while True:
            block = file.read(BLOCK if packed else min(BLOCK, stop - position))
            try:
                text = decode(block, final=not block)
            except UnicodeDecodeError as error:
                position += len(block) - len(error.object) + error.start
                raise not_utf8(str(path), error.object[error.start], position) from error
            if position == 0:
                text = text.removeprefix("\ufeff")
            position += len(block)
            if not block:
                break
            left += text
            cut = _last_cut(left)
            if cut:
                yield Piece(left[:cut], str(path), begins, False)
                left, begins = left[cut:], False
        yield Piece(left, str(path), begins, packed or stop == whole)


def _last_cut(text: str) -> int:
    """Behind the last line end that has no white space beside it; 0 where there is none."""
    at = text.rfind("\n", 0, -1)
    while at > 0 and (text[at + 1].isspace() or text[at - 1].isspace()):
        at = text.rfind("\n", 0, at)
    if at <= 0:
        return len(text) if len(text) > LONG else 0
    return at + 1
