"""What is written into the cache appears by one rename: whole or not at all.

Names are unique, so that any number of processes, on any number of machines, may write at once.
"""

import fcntl
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def new_file(target: Path) -> Iterator[BinaryIO]:
    """A file to write to, which becomes `target` unless there is an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _beside(target)
    try:
        with part.open("xb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside `target`; what is not moved away is removed at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _beside(target)
    part.mkdir()  # unlike one of tempfile's it is everybody's whom the umask lets in
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _beside(target: Path) -> Path:
    return target.with_name(f"{target.name}.{uuid.uuid4().hex}.unfinished")


@contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Holds a lock that ends with the process, however it ends."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another process is making {what}: waiting for it.", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
