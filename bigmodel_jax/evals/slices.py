"""How good a model is on parts of a split: long and short examples, each label, any column of the data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bigmodel_jax.errors import UserError, nearest
from bigmodel_jax.evals.bootstrap import bootstrap

GROUPS = 10  # of numbers
MOST = 20  # values that get a row of their own, the most frequent
BY = "by "  # before a field, in the details of an evaluator and in results/NAME.json


def scores(arrays: Mapping[str, np.ndarray]) -> tuple[str, np.ndarray]:
    """(a metric that is a mean over examples, what each example has of it, [examples]).

    Args:
        arrays: as evals/running.py leaves them: "labels" with "probabilities" or "values".

    Returns:
        "accuracy" of classes, "subset_accuracy" of several labels, bool; "mae" of numbers, float64.
    """
    labels = arrays["labels"]
    if "values" in arrays:
        return "mae", np.abs(arrays["values"].astype(np.float64) - labels)
    found = arrays["probabilities"]
    if labels.ndim == 1:
        return "accuracy", found.argmax(-1) == labels
    return "subset_accuracy", ((found >= 0.5) == (labels > 0.5)).all(-1)


def table(
    fields: Sequence[str], details: Mapping[str, Any], source: Any
) -> dict[str, list[dict[str, Any]]]:
    """A list "by FIELD" for each field: {"value", "examples", METRIC, "low", "high"} of each part.

    The metric is that of `scores`, with the bootstrap's 95% interval of it. Numbers are cut into tenths
    of the examples; of more than MOST names the less frequent are taken together.

    Args:
        fields: "length", "label", or whatever `source.field` knows.
        details: an evaluator's, with arrays.

    Raises:
        UserError: the data have no such field.
    """
    name, each = scores(details)
    found = {}
    for field in fields:
        rows = found[f"{BY}{field}"] = []
        for value, part in parts(values(field, details, source)):
            low, high = bootstrap(each[part])
            mean = float(each[part].mean())
            row = {"value": value, "examples": len(part), name: mean, "low": low, "high": high}
            rows.append(row)
    return found


def values(field: str, details: Mapping[str, Any], source: Any) -> Sequence[Any]:
    """The value that each example has in a field."""
    labels, known = details["labels"], {}
    if labels.ndim == 1:
        names = np.array(details["label_names"], object)
        known["label"] = names[labels] if "probabilities" in details else labels
    if "lengths" in details:
        known["length"] = details["lengths"]
    if field in known:
        return known[field]
    if hasattr(source, "field"):
        return source.field(field)
    raise UserError(
        f"There is no field {field!r} to cut the examples by: these data have "
        f"{' and '.join(known) or 'none'}.{nearest(field, known)}"
    )


def parts(values: Sequence[Any]) -> list[tuple[str, np.ndarray]]:
    """(what they have in common, indices of the examples) of each part, every example in one."""
    counts = Counter(map(str, values))
    numbers = _as_numbers(values) if len(counts) > MOST else None
    if numbers is not None:
        found = tenths(numbers)
        ends = [(numbers[part].min(), numbers[part].max()) for part in found]
        names = [f"{a:,g}" if a == b else f"{a:,g} to {b:,g}" for a, b in ends]
        return list(zip(names, found, strict=True))
    names = np.array([str(value) for value in values], object)
    kept = [name for name, _ in counts.most_common(MOST)]
    if len(counts) <= MOST:
        kept.sort(key=float if _as_numbers(kept) is not None else None)
    found = [(name, np.flatnonzero(names == name)) for name in kept]
    if len(counts) > MOST:
        rest = np.flatnonzero(~np.isin(names, kept))
        found.append((f"{len(counts) - MOST:,} others", rest))
    return found


def tenths(numbers: np.ndarray) -> list[np.ndarray]:
    """Indices of examples by tenths of a number; equal numbers stay together."""
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, GROUPS + 1), method="lower"))
    place = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, max(len(edges) - 2, 0))
    return [np.flatnonzero(place == i) for i in range(max(len(edges) - 1, 1)) if (place == i).any()]


def _as_numbers(values: Sequence[Any]) -> np.ndarray | None:
    """Finite float64 [examples], where they all are numbers: those of a CSV file are text."""
    try:
        found = np.array([float(value) for value in values])
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found).all() else None
