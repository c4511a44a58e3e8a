"""Rows of several corpora, drawn in proportion to weights: which, is a function of (seed, epoch)."""

from collections.abc import Sequence

import numpy as np

from bigmodel_jax.errors import UserError


class Mixture:
    """What an epoch draws from corpora of so many rows each.

    An epoch has as many draws as there are rows in all. A corpus that gives more than it has is gone
    through again, in an epoch of its own; of one that gives less, each epoch takes other rows.

    Args:
        counts: rows of each corpus.
        weights: of each, or None of all: as many draws as it has rows.

    Attributes:
        draws: of each corpus.
        first: number of the first row of each, and how many there are in all.
    """

    def __init__(self, counts: Sequence[int], weights: Sequence[float | None], seed: int):
        self.counts, self._seed = counts, seed
        self.draws = _draws(counts, weights)
        self.first = np.cumsum([0, *counts])

    def epoch(self, epoch: int) -> np.ndarray:
        """(row number, epoch of its corpus) of each draw, int64 [2, draws], corpus by corpus."""
        parts = []
        for i, (count, draws) in enumerate(zip(self.counts, self.draws, strict=True)):
            own, rows = np.divmod(epoch * draws + np.arange(draws), count)
            if draws % count:  # not whole epochs of its own: which rows, is drawn
                for e in np.unique(own):
                    mixed = np.random.default_rng((self._seed, int(e), i, 3)).permutation(count)
                    rows[own == e] = mixed[rows[own == e]]
            parts.append(np.stack([rows + self.first[i], own]))
        return np.concatenate(parts, 1)


def _draws(rows: Sequence[int], weights: Sequence[float | None]) -> list[int]:
    """Rows that each corpus gives to an epoch, which has as many as there are in all."""
    given = [weight for weight in weights if weight is not None]
    if not given:
        return list(rows)
    if len(given) < len(rows) or min(given) <= 0:
        raise UserError(
            f"config.data.corpora have the weights {list(weights)}: give all of them one, above 0."
        )
    return [max(1, round(sum(rows) * weight / sum(given))) for weight in given]
