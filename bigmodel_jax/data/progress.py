"""A progress bar on a terminal, a few plain lines in a file or a log."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(title: str, total: int, unit: str = "", scale: int = 1) -> Iterator[Callable]:
    """Yields `advance(n)`; shows how much of `total` is done, in units of `scale`, on stderr."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=title, total=total, unit=unit, unit_scale=1 / scale, leave=False) as bar:
            yield bar.update
        return

    start = last = time.monotonic()
    done = 0

    def advance(n: int) -> None:
        nonlocal done, last
        done += n
        if time.monotonic() - last > 5:
            last = time.monotonic()
            print(
                f"{title}: {done // scale:,} of {total // scale:,} {unit} ({last - start:.0f} s)",
                file=sys.stderr,
                flush=True,
            )

    yield advance
