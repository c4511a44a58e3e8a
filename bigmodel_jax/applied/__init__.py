"""What a run says of texts or images, one kind of answer a file.

A task's `applied` names the file, whose class `Answers` is a run that answers (base.py): `predict`
needs to know no more. `--explain` is of those whose answers are labels or a number (explained.py).
"""

from typing import NamedTuple

Text = str | tuple[str, str]  # or a pair


class Explaining(NamedTuple):
    """What to explain: the label of that name, by default the predicted one; and the page to write."""

    label: str | None = None
    page: str | None = None
