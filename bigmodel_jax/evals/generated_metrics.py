"""How far generated images are from real ones, by features of both: distances, precision and recall."""

import numpy as np

ROWS = 1000  # compared with all others at once


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Of the normal distributions that have the means and covariances of two sets of features.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Frechet 1957; Heusel et al. 2017, eq. 6), in float64. The
    root's trace is that of (C1^(1/2) C2 C1^(1/2))^(1/2), which is symmetric, so that no eigenvalue is complex.

    Args:
        first, second: `[examples, width]`, of more than one example.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    gap = np.square(first.mean(0) - second.mean(0)).sum()
    one, other = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (first, second))
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    both = np.linalg.eigvalsh(root @ other @ root)
    return float(gap + np.trace(one) + np.trace(other) - 2 * np.sqrt(np.maximum(both, 0)).sum())


def precision_and_recall(
    real: np.ndarray, generated: np.ndarray, neighbours: int = 3
) -> tuple[float, float]:
    """(share of generated features that lie among the real ones, share of real among the generated).

    To lie among a set is to be no further from some element than that one's k-th neighbour in the set is
    (Kynkaanniemi et al. 2019, eqs. 1 and 2).
    """
    return _among(generated, real, neighbours), _among(real, generated, neighbours)


def _among(points, others, neighbours) -> float:
    radii = np.concatenate(
        # The nearest is itself.
        [np.partition(d, neighbours, 1)[:, neighbours] for d in _distances(others, others)]
    )
    inside = [(d <= radii).any(1) for d in _distances(points, others)]
    return float(np.concatenate(inside).mean())


def nearest(points: np.ndarray, others: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(which of the others are the nearest, the nearest first, how far they are), `[points, count]`."""
    found = []
    for distances in _distances(points, others):
        index = np.argpartition(distances, count - 1, 1)[:, :count]
        far = np.take_along_axis(distances, index, 1)
        order = np.argsort(far, 1, kind="stable")
        found.append([np.take_along_axis(x, order, 1) for x in (index, far)])
    index, far = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return index, np.sqrt(far)


def _distances(points, others):
    """Squared distances `[rows, others]`, ROWS rows at a time."""
    squares = np.square(others).sum(1)
    for i in range(0, len(points), ROWS):
        rows = points[i : i + ROWS]
        products = rows @ others.T
        yield np.maximum(np.square(rows).sum(1)[:, None] - 2 * products + squares, 0)
