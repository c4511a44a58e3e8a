"""Looks at the labels of a training part before anything is learnt from them."""

from collections.abc import Sequence

import numpy as np

from bigmodel_jax import blocks
from bigmodel_jax.errors import UserError

FEW = 8  # examples that may well be of as many classes


def check_labels(labels: np.ndarray, target: str, names: Sequence[str], part: str) -> list[str]:
    """What a user should know of these labels: a sentence each.

    Args:
        labels: integers [examples] of the target "class", 0 or 1 [examples, classes] of "labels",
            or floats [examples] of "number".
        names: of the classes.
        part: how to speak of the examples.

    Raises:
        UserError: all examples have the same label.
    """
    # In blocks of rows: a comparison of all labels at once takes as much memory as they do.
    if all((block == labels[0]).all() for block in blocks.rows(labels)):
        only = {
            "class": lambda: f"the class {names[labels[0]]!r}",
            "labels": lambda: "one and the same set of labels",
            "number": lambda: f"the number {labels[0]:g}",
        }[target]()
        raise UserError(f"{part} holds only {only}: there is nothing to tell apart.")
    if target == "number":
        return []
    notes = []
    occur = labels.any(0) if target == "labels" else np.bincount(labels, minlength=len(names)) > 0
    missing = [repr(names[c]) for c in np.flatnonzero(~np.asarray(occur)).tolist()]
    if missing:
        more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
        notes.append(
            f"{part} has no example of {', '.join(missing[:3])}{more}: of {len(names):,} classes, "
            f"{len(missing):,} cannot be learnt."
        )
    if target == "class" and len(labels) >= FEW and 2 * occur.sum() > len(labels):
        advice = (
            "To estimate numbers take configs/own_text.py:target=number."
            if all(map(_is_number, names))
            else "Is config.data.label_column another?"
        )
        notes.append(f"{part} has {occur.sum():,} classes among {len(labels):,} examples. {advice}")
    if target == "labels" and (labels.sum(1) == 1).all():
        notes.append(
            f"{part} has one label for every text, though its target is any number of them. Is "
            "config.data.label_separator another?"
        )
    return notes


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
