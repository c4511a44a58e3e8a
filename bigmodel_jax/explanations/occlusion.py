"""Occlusion: how far a model's answer falls where a token, or a patch of an image, is taken away.

Zeiler and Fergus 2014, section 2 ("occlusion sensitivity"), of images; of texts Li, Monroe and Jurafsky
2016, "Understanding Neural Networks through Representation Erasure". What is taken away is what says
nothing to integrated gradients, too: a token keeps its place and loses its embedding, pixels get the
mean colour. Unlike those, these numbers add up to nothing: of two words that say the same, the model
can do without either.
"""

from collections.abc import Callable, Iterable

import numpy as np

ACROSS = 7  # patches side by side in an image; they move by half of their side


def falls(scores: Callable, masks: Iterable[np.ndarray], rows: int) -> np.ndarray:
    """F of what is whole less F of each mask, float64 [masks].

    Args:
        scores: `(presence [rows, ...] float32) -> F [rows]`, such as gradients.make_scores gives.
        masks: 0 where something is taken away, 1 elsewhere.
        rows: how many are computed at once.
    """
    found, waiting = [], []
    for mask in _after_whole(masks):
        waiting.append(mask)
        if len(waiting) == rows:
            found.append(np.asarray(scores(np.stack(waiting)), np.float64))
            waiting = []
    if waiting:
        padded = waiting + waiting[-1:] * (rows - len(waiting))
        found.append(np.asarray(scores(np.stack(padded)), np.float64)[: len(waiting)])
    values = np.concatenate(found or [np.zeros(1)])
    return values[0] - values[1:]


def of_tokens(scores: Callable, kept: int, length: int, rows: int) -> np.ndarray:
    """What the answer loses without each of the first `kept` tokens of `length`, [kept]."""
    return falls(scores, (1 - np.eye(1, length, i, dtype=np.float32)[0] for i in range(kept)), rows)


def of_patches(scores: Callable, height: int, width: int, rows: int) -> np.ndarray:
    """What the answer loses without a pixel's patch, the mean over patches with it, [height, width]."""
    side = max(1, min(height, width) // ACROSS)
    places = [(y, x) for y in _begins(height, side) for x in _begins(width, side)]

    def masks():
        for y, x in places:
            mask = np.ones((height, width), np.float32)
            mask[y : y + side, x : x + side] = 0
            yield mask

    total, count = np.zeros((height, width)), np.zeros((height, width))
    for (y, x), fall in zip(places, falls(scores, masks(), rows), strict=True):
        total[y : y + side, x : x + side] += fall
        count[y : y + side, x : x + side] += 1
    return total / count


def _begins(size: int, side: int) -> list[int]:
    """Where patches begin: every half side, and at the far edge."""
    return sorted({*range(0, size - side, max(1, side // 2)), size - side})


def _after_whole(masks):
    """The masks, and before them one that takes nothing away."""
    for i, mask in enumerate(masks):
        if not i:
            yield np.ones_like(mask)
        yield mask
