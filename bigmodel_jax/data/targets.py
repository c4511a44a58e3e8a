"""What is to be learnt of a text: one of some classes, any number of labels, or a number."""

import json
import math
import re
from array import array
from typing import Any, NamedTuple

import numpy as np

from bigmodel_jax.errors import UserError, nearest

TARGETS = ("class", "labels", "number")


class Labels(NamedTuple):
    """The labels of a split's examples.

    Attributes:
        values: ids int32, or numbers float64; of all examples, one after another.
        ends: where those of an example end in `values`, int64 [examples]; of "labels" only.
    """

    values: np.ndarray
    ends: np.ndarray | None

    def __getitem__(self, i: int) -> int | float | list[int]:
        if self.ends is None:
            return self.values[i].item()
        return self.values[self.ends[i - 1] if i else 0 : self.ends[i]].tolist()


class Collector:
    """Takes the labels of all splits as files have them; the first split, train, has all names.

    Args:
        target: "class", "labels" or "number".
        separator: of "labels": what is between two in a field.
    """

    def __init__(self, target: str, separator: str):
        if target not in TARGETS:
            raise UserError(f"There is no config.data.target {target!r}.{nearest(target, TARGETS)}")
        if not separator:
            raise UserError("config.data.label_separator is empty.")
        self._target, self._separator = target, separator
        self._ids: dict[str, int] = {}
        self._splits: dict[str, tuple[array, array]] = {}

    def begin(self, split: str) -> None:
        """What is added from now on is of that split."""
        self._values = array("d" if self._target == "number" else "i")
        self._ends = array("q")
        self._known = None if not self._splits else self._ids
        self._splits[split] = self._values, self._ends

    def add(self, label: Any, place: str) -> None:
        """Takes the label of the next example; `place` is where it is, for messages."""
        if self._target == "number":
            self._values.append(_number(label, place))
            return
        names = (
            dict.fromkeys(_several(label, self._separator, place))
            if self._target == "labels"
            else [_one(label, place)]
        )
        for name in names:
            if self._known is not None and name not in self._known:
                raise UserError(
                    f"{place}: the label {name!r} is not among those of the train "
                    f"split.{nearest(name, self._known)}"
                )
            self._values.append(self._ids.setdefault(name, len(self._ids)))
        self._ends.append(len(self._values))

    def finish(self, where: str) -> tuple[tuple[str, ...], dict[str, Labels]]:
        """(names in order, labels by split); names are sorted, as numbers where all are numbers.

        Raises:
            UserError: there is nothing to tell apart; `where` names the files of train.
        """
        if self._target == "number":
            train = np.array(next(iter(self._splits.values()))[0])
            if len(train) and (train == train[0]).all():
                raise UserError(f"All examples of {where} have the number {train[0]:g}.")
            splits = {
                k: Labels(np.array(v, np.float64), None) for k, (v, _) in self._splits.items()
            }
            return ("value",), splits
        if not self._ids:
            raise UserError(f"No example of {where} has a label.")
        if self._target == "class" and len(self._ids) < 2:
            raise UserError(
                f"All examples of {where} have the label {[*self._ids][0]!r}: there is nothing to "
                "tell apart."
            )
        names = tuple(sorted(self._ids, key=_order(self._ids)))
        place = {name: i for i, name in enumerate(names)}
        final = np.array([place[name] for name in self._ids], np.int32)
        several = self._target == "labels"
        return names, {
            split: Labels(final[np.array(values, np.int32)], np.array(ends) if several else None)
            for split, (values, ends) in self._splits.items()
        }


def _one(label: Any, place: str) -> str:
    if isinstance(label, (dict, list)):
        raise UserError(
            f"{place}: the label is {json.dumps(label):.40}, but must be a string or a number; "
            "several labels need configs/own_text.py:target=labels."
        )
    name = label if isinstance(label, str) else json.dumps(label)
    if not name.strip() or label is None or label != label:  # not a number: nothing
        raise UserError(f"{place}: the label is empty. Fill it in, or leave the example out.")
    return name.strip()


def _several(label: Any, separator: str, place: str) -> list[str]:
    """The names in a field, or in a list; no more than one is empty in "a,,b"."""
    if isinstance(label, str):
        return [part.strip() for part in label.split(separator) if part.strip()]
    return [_one(part, place) for part in (label if isinstance(label, list) else [label])]


def _number(label: Any, place: str) -> float:
    value = math.nan if isinstance(label, bool) else _float(label)
    if not math.isfinite(value):
        hint = ", without thousands separators" if _grouped(label) else ""
        shown = label if isinstance(label, str) else json.dumps(label)
        raise UserError(f"{place}: the label {shown[:40]!r} is not a finite number{hint}.")
    return value


def _float(label: Any) -> float:
    """The number that a label is, or not a number."""
    try:
        return math.nan if isinstance(label, str) and "_" in label else float(label)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _grouped(label: Any) -> bool:
    """Whether it would be a number without what is between its digits."""
    return isinstance(label, str) and math.isfinite(
        _float(re.sub(r"(?<=\d)[,_' ](?=\d)", "", label))
    )


def _order(labels):
    """A sort key: by value where all labels are numbers, else by characters."""
    values = {label: _float(label) for label in labels}
    if not all(map(math.isfinite, values.values())):
        return lambda label: label
    return lambda label: (values[label], label)
