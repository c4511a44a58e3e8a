"""Errors for people: one clear sentence, printed without a traceback.

Everything a user can get wrong raises a UserError that names the thing, what was expected and the
way out; the commands print it and exit with a code other than 0 (`--debug` shows the traceback).
"""

import difflib
import os
from collections.abc import Iterable

SHOWN = 20  # names of an error message: there may be thousands of labels


class UserError(Exception):
    """Bad input: the message is all that the user needs to mend it."""


def nearest(name: str, names: Iterable[str]) -> str:
    """A suffix for an error message: " Did you mean 'x'?", or " There are: a, b, c."; SHOWN at most."""
    names = sorted(str(n) for n in names)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {close[0]!r}?"
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f" There are: {', '.join(names[:SHOWN])}{more}." if names else " There are none."


def refuse_address(what: str, path: str | os.PathLike) -> None:
    """Raises a UserError for a bucket ("gs://..."), which would become a folder of that name here."""
    if "://" in str(path):
        raise UserError(
            f"{what} {path} is an address, and must be a folder: of a disk that all machines see."
        )
