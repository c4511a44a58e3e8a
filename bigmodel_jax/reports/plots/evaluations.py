"""Which figures an evaluation gets, by what it left: classes, several labels, or numbers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bigmodel_jax.evals.calibration import scaled
from bigmodel_jax.reports import calibrations
from bigmodel_jax.reports.plots import calibration, confusion, labels, lengths, numbers, ranking

Arrays = Mapping[str, np.ndarray]


def figures(
    name: str, names: Sequence[str], result: Mapping, arrays: Arrays
) -> Iterator[tuple[str, str, Any]]:
    """(key, what it shows, figure) of each.

    Args:
        name: of the evaluator, for the titles.
        names: of the classes.
        result: results/NAME.json.
        arrays: results/NAME.npz; without them there is a confusion matrix at most.
    """
    n = f"{name} (n = {result.get('examples', 0):,})"
    counts = confusion_of(names, result, arrays)
    if counts is not None:
        yield (
            "confusion",
            f"Confusion matrix of {name}",
            confusion.plot(counts, names, f"Confusion matrix, {n}"),
        )
    if "labels" not in arrays:
        return
    truth = arrays["labels"]
    if "values" in arrays:
        values = arrays["values"]
        yield (
            "predicted",
            f"Predicted against true values of {name}",
            numbers.plot_predicted(values, truth, f"Predicted and true, {n}"),
        )
        yield (
            "residuals",
            f"Residuals of {name}",
            numbers.plot_residuals(values, truth, f"Residuals, {n}"),
        )
        wrong = np.abs(values.astype(np.float64) - truth)
    else:
        scores = arrays["probabilities"]
        positives = _positives(truth, len(names))
        wrong = (
            scores.argmax(-1) != truth
            if truth.ndim == 1
            else ((scores >= 0.5) != positives).any(-1)
        )
        if truth.ndim == 2:
            yield (
                "average_precision",
                f"Average precision of each label of {name}",
                labels.plot_average_precision(scores, positives, names, f"Average precision, {n}"),
            )
        if _rankable(scores, positives):
            two = truth.ndim == 1 and len(names) == 2
            shown = slice(1, 2) if two else slice(None)
            of = f", {names[1]}" if two else ""
            some = scores[:, shown], positives[:, shown], list(names)[shown]
            yield "roc", f"ROC curve of {name}", ranking.plot_roc(*some, f"ROC{of}, {n}")
            yield (
                "precision_recall",
                f"Precision-recall curve of {name}",
                ranking.plot_precision_recall(*some, f"Precision and recall{of}, {n}"),
            )
        if truth.ndim == 1:
            yield (
                "reliability",
                f"Reliability diagram of {name}",
                calibration.plot(scores, truth, f"Reliability, {n}"),
            )
            for split, found in calibrations.found(result).items():
                after = scaled(scores, found["temperature"])
                title = f"At temperature {found['temperature']:.3g} (chosen on {split}), {n}"
                yield (
                    f"reliability-{split}",
                    f"Reliability diagram of {name} at the temperature chosen on {split}",
                    calibration.plot(after, truth, title),
                )
    if "lengths" in arrays:
        yield (
            "length",
            f"Error by length of {name}",
            lengths.plot(arrays["lengths"], wrong, f"Error by length, {n}"),
        )


def left_out(names: Sequence[str], arrays: Arrays) -> list[str]:
    """Why a figure is missing that one might look for."""
    if "probabilities" not in arrays:
        return []
    if _rankable(arrays["probabilities"], _positives(arrays["labels"], len(names))):
        return []
    return ["There are no ROC and precision-recall curves: too few kinds of examples, or too many."]


def confusion_of(names: Sequence[str], result: Mapping, arrays: Arrays) -> np.ndarray | None:
    """Counts [label, predicted], as the result states them, or made from the arrays."""
    if "confusion_matrix" in result:
        return np.array(result["confusion_matrix"])
    if "probabilities" not in arrays or arrays["labels"].ndim != 1:
        return None
    flat = arrays["labels"].astype(np.int64) * len(names) + arrays["probabilities"].argmax(-1)
    return np.bincount(flat, minlength=len(names) ** 2).reshape(len(names), len(names))


def _positives(truth, classes):
    """bool [examples, classes]."""
    return truth[:, None] == np.arange(classes) if truth.ndim == 1 else truth > 0.5


def _rankable(scores, positives):
    two_kinds = positives.any(0) & ~positives.all(0)
    return bool(two_kinds.any()) and scores.size <= ranking.COSTLY
