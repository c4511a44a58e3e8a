"""Distances between sets of features are those of their definitions."""

import numpy as np
import pytest
import scipy.linalg

from bigmodel_jax.evals.generated_metrics import frechet_distance, nearest, precision_and_recall

RNG = np.random.default_rng(0)


def test_the_frechet_distance_is_that_of_scipys_matrix_root():
    first = RNG.normal(size=(50, 6)) @ RNG.normal(size=(6, 6))
    second = RNG.normal(size=(40, 6)) @ RNG.normal(size=(6, 6)) + 1
    one, other = np.cov(first.T), np.cov(second.T)
    root = scipy.linalg.sqrtm(one @ other).real
    gap = np.square(first.mean(0) - second.mean(0)).sum()
    wanted = gap + np.trace(one + other - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-6)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    shifted = frechet_distance(first, first + 3)  # of equal covariances the means are left
    assert shifted == pytest.approx(9 * 6)


def test_precision_and_recall_count_as_a_loop_over_all_pairs_does():
    real, generated = RNG.normal(size=(40, 3)), 0.5 * RNG.normal(size=(30, 3)) + 0.5

    def among(points, others, k):
        radii = [sorted(np.linalg.norm(x - y) for y in others)[k] for x in others]
        hits = [
            any(np.linalg.norm(p - x) <= r for x, r in zip(others, radii, strict=True))
            for p in points
        ]
        return np.mean(hits)

    wanted = among(generated, real, 3), among(real, generated, 3)
    assert wanted[0] != wanted[1]
    assert precision_and_recall(real, generated, 3) == pytest.approx(wanted)
    index, far = nearest(generated, real, 2)
    for row, point in enumerate(generated):
        distances = np.linalg.norm(real - point, axis=1)
        assert index[row].tolist() == np.argsort(distances)[:2].tolist()
        np.testing.assert_allclose(far[row], np.sort(distances)[:2])
