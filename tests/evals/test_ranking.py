"""Rankings against loops over the definitions."""

import math

import jax.numpy as jnp
import numpy as np

from bigmodel_jax.evals.ranking import judged, unrated


def test_the_best_are_without_what_was_rated_and_without_item_0():
    scores = jnp.array([[9, 5, 8, 7, 6, 1], [9, 1, 1, 1, 1, 1]], jnp.float32)
    history = np.array([[0, 0, 2], [0, 1, 4]], np.int32)
    found, items = unrated(scores, history, 3)
    assert items.tolist() == [[3, 4, 1], [2, 3, 5]]  # of equal scores the lower number is first
    assert found.tolist() == [[7, 6, 5], [1, 1, 1]]
    assert np.isneginf(unrated(scores, history, 6)[0][0, 4:]).all()


def test_ndcg_and_recall_are_what_a_loop_over_their_definitions_gives():
    rng = np.random.default_rng(0)
    best = np.stack([rng.permutation(np.arange(1, 30))[:10] for _ in range(40)])
    items = np.stack([rng.permutation(np.arange(1, 30))[:15] for _ in range(40)])
    items[:, :2] = 0  # which the training part does not have
    relevant = rng.random(items.shape) < np.linspace(0, 1, 40)[:, None]
    ndcg, recall = judged(best, items, relevant)
    for row in range(40):
        wanted = set(items[row][relevant[row]].tolist()) - {0}
        count = int(relevant[row].sum())
        gains = [
            1 / math.log2(2 + i) for i, item in enumerate(best[row].tolist()) if item in wanted
        ]
        ideal = sum(1 / math.log2(2 + i) for i in range(min(count, 10)))
        assert math.isclose(ndcg[row], sum(gains) / ideal if count else 0, rel_tol=1e-5)
        assert math.isclose(recall[row], len(gains) / count if count else 0, rel_tol=1e-5)
    assert relevant.sum(1).min() == 0 and relevant.sum(1).max() == 15
