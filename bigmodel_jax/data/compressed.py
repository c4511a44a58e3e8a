"""Opens files that may be compressed: .gz and .zst, as streams from begin to end."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from bigmodel_jax.errors import UserError

CODECS = {".gz": "gzip", ".zst": "zstd"}
# What files begin with, and what their names should end with.
_SIGNATURES = {
    b"\x1f\x8b": ("gzip", ".gz"),
    b"\x28\xb5\x2f\xfd": ("zstd", ".zst"),
    b"PAR1": ("Parquet", ".parquet"),
    b"PK\x03\x04": ("zip", ".zip"),
}


def extension(path: Path) -> str:
    """ ".csv" of both reviews.csv and reviews.csv.gz."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in CODECS else path.suffix.lower()


def stem(path: Path) -> str:
    """ "reviews" of both reviews.csv and reviews.csv.gz."""
    return Path(path.stem).stem if path.suffix.lower() in CODECS else path.stem


@contextlib.contextmanager
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed where its name ends in .gz or .zst; several in one, too.

    Raises:
        UserError: it is not what its name says, is torn, or damaged.
    """
    with path.open("rb") as file:
        check_signature(path, file.read(4))
        file.seek(0)
        codec = CODECS.get(path.suffix.lower())
        if codec is None:
            yield file
            return
    import pyarrow

    with pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), codec) as stream:
        yield io.BufferedReader(_Named(stream, path), 1 << 20)


def check_signature(path: Path, begin: bytes) -> None:
    """Refuses a file whose first bytes are not of the kind that its name says."""
    said = next((v for v in _SIGNATURES.values() if v[1] == path.suffix.lower()), None)
    found = next((v for k, v in _SIGNATURES.items() if begin.startswith(k)), None)
    if said and said != found:
        raise UserError(f"{path} is not a {said[0]} file, though its name says so.")
    if found and said != found:
        raise UserError(
            f"{path} is a {found[0]} file, though its name does not say so: it should end in "
            f"{found[1]}."
        )


class _Named(io.RawIOBase):
    """A stream whose errors say which file is at fault."""

    def __init__(self, stream: Any, path: Path):
        self._stream, self._path = stream, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        try:
            raw = self._stream.read(len(buffer))
        except OSError as error:
            raise UserError(f"{self._path} is torn or damaged ({error}): copy it again.") from error
        buffer[: len(raw)] = raw
        return len(raw)
