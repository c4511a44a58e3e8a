"""The order of the data: which examples make up which batch, a pure function of (seed, epoch).

Everybody who asks, on any number of hosts and at any moment, gets the same answer; so a resumed run
needs no iterator state. An epoch is cut into batches whose sizes differ by at most one, each padded
to the batch size with rows of index -1: no example is dropped, and no tiny last batch weighs as much
as a whole one.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from bigmodel_jax.errors import UserError

T = TypeVar("T")
OVERFLOW = 1e-9  # the greatest chance that a step of Poisson sampling ends a run


class Plan(NamedTuple):
    """One epoch: `indices` int64 [batches, batch_size], -1 for padding; `lengths` int64 [batches]."""

    indices: np.ndarray
    lengths: np.ndarray


class Epochs(Generic[T]):
    """What `make` gives for each epoch; that of the last two is remembered.

    Args:
        steps: of an epoch.
        training: else there is but one epoch, again and again.
    """

    def __init__(self, make: Callable[[int], T], steps: int, training: bool):
        self._make, self._steps, self._training = make, steps, training
        self._known: dict[int, T] = {}

    def at(self, step: int) -> tuple[T, int]:
        """(the epoch's, the step's position in it)."""
        epoch, position = divmod(step, self._steps)
        epoch = epoch if self._training else 0
        if epoch not in self._known:
            while len(self._known) > 1:
                self._known.pop(min(self._known), None)
            self._known[epoch] = self._make(epoch)
        return self._known[epoch], position


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
    labels: np.ndarray | None = None,
) -> Plan:
    """Permutes, sorts by length within windows, cuts into batches, permutes groups of batches.

    Args:
        lengths: of all examples, [examples].
        buckets: the padded lengths that batches may have, rising; the last holds every example.
        shuffle: without it the order is by length alone, the same in every epoch.
        group: batches that follow one another and share a padded length (k steps a dispatch).
        window: batches a window. Larger windows pad less and mix lengths less within a batch.
        labels: the class of each example, if all classes shall come equally often; see `balanced`.
    """
    examples = len(lengths)
    count = batches_per_epoch(examples, batch_size, group)
    if examples < count:
        raise UserError(
            f"{examples} examples are too few for {count} batches a dispatch (config.repeat)."
        )
    rng = np.random.default_rng((seed, epoch))
    order = np.arange(examples) if labels is None else balanced(labels, seed, epoch)
    order = rng.permutation(order) if shuffle else order

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


def balanced(labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """As many draws as there are examples, in which all classes that occur come equally often.

    The classes take turns, from epoch to epoch too; a class deals its examples round and round in an
    order of its own. So within an epoch, and within any number of epochs from the first, the counts
    of two classes, and those of two examples of a class, differ by at most one.
    """
    rng = np.random.default_rng(seed)
    by_class = rng.permutation(len(labels))
    by_class = by_class[np.argsort(labels[by_class], kind="stable")]
    _, sizes = np.unique(labels, return_counts=True)
    turn = np.arange(epoch * len(labels), (epoch + 1) * len(labels))
    group, draw = turn % len(sizes), turn // len(sizes)
    return by_class[(np.cumsum(sizes) - sizes)[group] + draw % sizes[group]]


def poisson(examples: int, rate: float, rows: int, seed: int, step: int) -> np.ndarray:
    """A batch into which each example comes by a chance of its own, `rate`: int64 [rows], -1 pads.

    Raises:
        UserError: it has more than `rows`, which `check_room` makes improbable.
    """
    rng = np.random.default_rng((seed, step, 0, 2))
    drawn = np.flatnonzero(rng.random(examples) < rate)
    if len(drawn) > rows:
        raise UserError(
            f"The batch of step {step} has {len(drawn)} examples by chance, and config.data.batch_size "
            f"is {rows}: take another seed, or a larger one."
        )
    return np.pad(drawn, (0, rows - len(drawn)), constant_values=-1)


def check_room(examples: int, rate: float, rows: int) -> None:
    """Raises a UserError where a batch of `poisson` has more than `rows` with a chance of over 1e-9."""
    from scipy.special import bdtrc  # the chance of more than `rows` of `examples`

    if rows < examples and (chance := bdtrc(rows, examples, rate)) > OVERFLOW:
        room = next(n for n in range(rows, examples + 8) if bdtrc(n, examples, rate) <= OVERFLOW)
        raise UserError(
            f"config.data.batch_size {rows} is too small for batches of {rate * examples:.0f} examples on "
            f"the average: one in {1 / chance:.0e} would have more; take {room} or more."
        )
