"""What a run says of texts or images, one kind of answer a file.

A task's `applied` names the file, whose class `Answers` is a run that answers (base.py): `predict`
needs to know no more. `--explain` is of those whose answers are labels or a number (explained.py).
"""

from typing import NamedTuple

Text = str | tuple[str, str]  # or a pair


class Explaining(NamedTuple):
    """What to explain, and how.

    Attributes:
        label: the name of the one to explain, by default the predicted one.
        page: to write.
        occlusion: also what the answer loses without each token, or patch.
        neighbours: how many of the nearest training examples to show.
        data_dir: where these are; None for the usual place.
    """

    label: str | None = None
    page: str | None = None
    occlusion: bool = False
    neighbours: int = 0
    data_dir: str | None = None
