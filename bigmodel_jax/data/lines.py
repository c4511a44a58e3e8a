"""A file's lines as text, counted, for readers that name the line of every error."""

from pathlib import Path
from typing import BinaryIO

from bigmodel_jax.errors import UserError

MAX_LINE = 256 << 20  # bytes; what has no line ends must not fill the memory


class Lines:
    """Decodes a file line by line; `position` is where the next line begins, in bytes.

    Args:
        path: of the file, for messages.
        file: open, at `position`.
        digest: a hash that is fed with the bytes.
        stop: no line is read that begins here or later.
    """

    def __init__(
        self,
        path: Path,
        file: BinaryIO,
        digest=None,
        position: int = 0,
        stop: int | None = None,
    ):
        self.path, self.line, self.position = path, 0, position
        self._stop = stop
        self._file, self._digest = file, digest

    def __iter__(self):
        return self

    def __next__(self) -> str:
        if self._stop is not None and self.position >= self._stop:
            raise StopIteration
        raw = self._file.readline(MAX_LINE)
        if not raw:
            raise StopIteration
        self.line += 1
        if len(raw) == MAX_LINE:
            raise UserError(
                f"{self.path} line {self.line} has more than {MAX_LINE >> 20} MB: is it text?"
            )
        if self._digest:
            self._digest.update(raw)
        text = decode(raw, f"{self.path} line {self.line}", self.position)
        start, self.position = self.position, self.position + len(raw)
        return text.removeprefix("\ufeff") if start == 0 else text


def decode(raw: bytes, where: str, position: int = 0) -> str:
    """UTF-8 as text; `position` is that of `raw` in its file, for the message."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(where, raw[error.start], position + error.start) from error


def not_utf8(where: str, byte: int, position: int) -> UserError:
    """What to say of a byte that is not UTF-8."""
    return UserError(
        f"{where} is not UTF-8: byte 0x{byte:02x} at byte {position} of the file. Save the file as "
        "UTF-8, or convert it: iconv -f ENCODING -t UTF-8, with GBK, CP1252 or whatever it is."
    )
