"""What an evaluator leaves besides its numbers: its arrays, and where the model was most wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bigmodel_jax import blocks

LETTERS = 1000  # of a text that is kept


def kept(evaluator: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(what goes to results/NAME.json besides the metrics, what goes to NAME.npz).

    The first holds "mistakes", as `mistakes` lists them, with the text of each where the
    evaluator's source has texts; where it has images, the second holds those, "mistaken".
    """
    rest, arrays = split(getattr(evaluator, "details", {}))
    if "labels" in arrays:
        found = mistakes(arrays, rest.get("label_names", ()))
        texts = getattr(evaluator.source, "texts", None)
        if texts and found:
            for mistake, text in zip(found, texts([m["index"] for m in found]), strict=True):
                mistake["text"] = text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
        rest["mistakes"] = found
        images = getattr(evaluator.source, "images", None)
        if images and found:
            arrays["mistaken"] = images([m["index"] for m in found])
    return rest, arrays


def split(details: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(what JSON can hold, the arrays)."""
    arrays = {k: v for k, v in details.items() if isinstance(v, np.ndarray)}
    return {k: v for k, v in details.items() if k not in arrays}, arrays


def mistakes(arrays: Mapping[str, np.ndarray], names, count: int = 10) -> list[dict[str, Any]]:
    """The most confident mistakes, the worst first.

    Args:
        arrays: "labels" with "probabilities" [examples, classes], or with "values" [examples].
        names: of the classes.

    Returns:
        {"index", "label", "predicted", "probability"} of each: the class that was predicted and its
        probability; of several labels the decision that was surest (one an example); of numbers
        {"index", "label", "predicted"}, the furthest off.
    """
    labels = arrays["labels"]
    if "values" in arrays:
        values = arrays["values"].astype(np.float64)
        error = np.abs(values - labels)
        rows = [i for i in np.argsort(-error, kind="stable")[:count] if error[i] > 0]
        return [
            {"index": int(i), "label": float(labels[i]), "predicted": float(values[i])}
            for i in rows
        ]
    scores = np.asarray(arrays["probabilities"])
    if labels.ndim == 2:
        return _of_labels(scores, labels, names, count)
    predicted = scores.argmax(-1)
    wrong = np.flatnonzero(predicted != labels)
    surest = wrong[np.argsort(-scores[wrong, predicted[wrong]], kind="stable")[:count]]
    return [
        {
            "index": int(i),
            "label": names[labels[i]],
            "predicted": names[predicted[i]],
            "probability": float(scores[i, predicted[i]]),
        }
        for i in surest
    ]


def _of_labels(scores, labels, names, count):
    surest, worst = [], []  # of each example's wrong decisions the probability, and the label
    for block, given in zip(blocks.rows(scores), blocks.rows(labels), strict=True):
        decided = block >= 0.5
        sure = np.where(decided, block, 1 - block) * (decided != (given > 0.5))
        surest.append(sure.max(-1))
        worst.append(sure.argmax(-1))
    surest, worst = np.concatenate(surest), np.concatenate(worst)
    rows = np.argsort(-surest, kind="stable")[:count]
    found = []
    for i in (i for i in rows if surest[i] > 0):
        c = worst[i]
        name, no = names[c], f"not {names[c]}"
        label, predicted = (name, no) if labels[i, c] > 0.5 else (no, name)
        found.append(
            {
                "index": int(i),
                "label": label,
                "predicted": predicted,
                "probability": float(surest[i]),
            }
        )
    return found
