"""Data sets that `python -m bigmodel_jax.prepare NAME` knows: one a file.

A module holds `class Builder(ArrayRecordBuilder, skip_registration=True)`, as tfds has registered
some of the names already, which reads what the user has on disk:

    Builder(data_dir=..., source=Path, progress=Callable[[int], None])
    Builder.name, .VERSION
    Builder.URL, .SIZE, .SHA256     # the published archive: where, bytes, hex digest; where it is
                                    # several files, which --from must name, SHA256 is None
    Builder.EXAMPLES                # in all splits, for the progress bar
    Builder.SOURCES                 # words for what `--from` may be, for help and error messages
"""

import importlib
import pkgutil
from typing import Any

from bigmodel_jax.errors import UserError, nearest


def names() -> list[str]:
    """The data sets that can be prepared."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def load(name: str) -> Any:
    """The Builder class of a data set.

    Raises:
        UserError: no module of that name; names the nearest.
    """
    if name not in names():
        raise UserError(f"There is no data set {name!r} to prepare.{nearest(name, names())}")
    return importlib.import_module(f"{__name__}.{name}").Builder
