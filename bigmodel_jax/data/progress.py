"""A progress bar on a terminal, a plain line every few seconds in a file or a log."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:,.0f}/{total:,.0f} {unit} [{elapsed}<{remaining}]"


@contextlib.contextmanager
def progress(
    title: str, total: int, unit: str, scale: int = 1, every: float = 5.0
) -> Iterator[Callable[[int], None]]:
    """Yields `advance(n)`, which shows on stderr how much of `total` is done.

    Args:
        scale: of the figures shown, 2**20 for bytes in MiB.
        every: seconds between plain lines.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=title, total=total / scale, unit=unit, bar_format=_BAR, leave=False) as bar:

            def move(n: int) -> None:
                bar.update(n / scale)

            yield move
        return

    start = last = time.monotonic()
    done = 0

    def advance(n: int) -> None:
        nonlocal done, last
        done += n
        if time.monotonic() - last > every:
            last = time.monotonic()
            counts = f"{done // scale:,} of {total // scale:,} {unit}"
            print(f"{title}: {counts} ({last - start:.0f} s)", file=sys.stderr, flush=True)

    yield advance
