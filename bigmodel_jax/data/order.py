"""The order of the data: which examples make up which batch, a pure function of (seed, epoch).

Everybody who asks, on any number of hosts and at any moment, gets the same answer; so a resumed run
needs no iterator state. An epoch is cut into batches whose sizes differ by at most one, each padded
to the batch size with rows of index -1: no example is dropped, and no tiny last batch weighs as much
as a whole one.
"""

from typing import NamedTuple

import numpy as np

from bigmodel_jax.errors import UserError


class Plan(NamedTuple):
    """One epoch: `indices` int64 [batches, batch_size], -1 for padding; `lengths` int64 [batches]."""

    indices: np.ndarray
    lengths: np.ndarray


def batches_per_epoch(examples: int, batch_size: int, group: int = 1) -> int:
    """Batches of an epoch, a multiple of `group`."""
    return group * -(-examples // (batch_size * group))


def plan_epoch(
    lengths: np.ndarray,
    batch_size: int,
    *,
    buckets: tuple[int, ...],
    seed: int,
    epoch: int,
    shuffle: bool = True,
    group: int = 1,
    window: int = 64,
) -> Plan:
    """Permutes, sorts by length within windows, cuts into batches, permutes groups of batches.

    Args:
        lengths: of all examples, [examples].
        buckets: the padded lengths that batches may have, rising; the last holds every example.
        shuffle: without it the order is by length alone, the same in every epoch.
        group: batches that follow one another and share a padded length (k steps a dispatch).
        window: batches a window. Larger windows pad less and mix lengths less within a batch.
    """
    examples = len(lengths)
    count = batches_per_epoch(examples, batch_size, group)
    if examples < count:
        raise UserError(
            f"{examples} examples are too few for {count} batches a dispatch (config.repeat)."
        )
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(examples) if shuffle else np.arange(examples)

    # Row r of batch b holds the example number bounds[b] + r of the order.
    bounds = np.arange(count + 1) * examples // count
    per_window = group * max(1, window // group) if shuffle else count
    if len(buckets) > 1:
        for first in range(0, count, per_window):
            part = slice(bounds[first], bounds[min(first + per_window, count)])
            order[part] = order[part][np.argsort(lengths[order[part]], kind="stable")]

    rows = bounds[:-1, None] + np.arange(batch_size)
    real = rows < bounds[1:, None]
    indices = np.where(real, order[np.minimum(rows, examples - 1)], -1)

    longest = np.where(real, lengths[indices], 0).max(1)
    longest = np.repeat(longest.reshape(-1, group).max(1), group)
    padded = np.asarray(buckets)[np.searchsorted(buckets, longest)]
    if shuffle and len(buckets) > 1:  # sorting made neighbours alike
        shuffled = rng.permutation(count // group)
        shuffled = (shuffled[:, None] * group + np.arange(group)).reshape(-1)
        indices, padded = indices[shuffled], padded[shuffled]
    return Plan(indices, padded)
