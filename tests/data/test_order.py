"""The order of the data is a pure function of (seed, epoch), and loses no example."""

import numpy as np
import pytest

from bigmodel_jax.data.order import balanced, batches_per_epoch, plan_epoch
from bigmodel_jax.errors import UserError

LENGTHS = np.random.default_rng(0).integers(1, 100, 1003)


def plan(epoch=0, **changes):
    options = dict(buckets=(25, 50, 100), seed=7, shuffle=True, group=1, window=8) | changes
    return plan_epoch(LENGTHS, 32, epoch=epoch, **options)


@pytest.mark.parametrize("buckets", [(100,), (25, 50, 100)])
@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_example_comes_once_an_epoch(buckets, group, shuffle):
    found = plan(buckets=buckets, group=group, shuffle=shuffle)
    real = found.indices[found.indices >= 0]
    assert sorted(real) == list(range(len(LENGTHS)))
    sizes = (found.indices >= 0).sum(1)
    assert sizes.max() - sizes.min() <= 1 and len(sizes) == batches_per_epoch(1003, 32, group)


def test_the_same_seed_and_epoch_give_the_same_plan_and_others_another():
    assert np.array_equal(plan().indices, plan().indices)
    assert not np.array_equal(plan().indices, plan(epoch=1).indices)
    assert not np.array_equal(plan().indices, plan(seed=8).indices)


def test_every_text_fits_its_bucket_and_no_smaller_one_would_do():
    found = plan()
    for row, padded in zip(found.indices, found.lengths, strict=True):
        longest = LENGTHS[row[row >= 0]].max()
        assert padded == min(b for b in (25, 50, 100) if b >= longest)


def test_batches_of_one_dispatch_share_a_shape():
    lengths = plan(group=4).lengths.reshape(-1, 4)
    assert (lengths == lengths[:, :1]).all() and len(set(lengths[:, 0])) > 1


def test_sorting_within_windows_saves_padding():
    bucketed, single = plan(), plan(buckets=(100,))
    assert bucketed.lengths.sum() < 0.8 * single.lengths.sum()


def test_fewer_examples_than_a_dispatch_needs_are_refused():
    with pytest.raises(UserError, match="too few"):
        plan_epoch(LENGTHS[:3], 1, buckets=(100,), seed=0, epoch=0, group=8)


LABELS = np.random.default_rng(1).choice(7, 1003, p=[0.5, 0.2, 0.1, 0.1, 0.06, 0.04, 0])


def counts(epochs, labels=LABELS):
    """How often each example is drawn in the first epochs."""
    draws = [balanced(labels, seed=3, epoch=e) for e in range(epochs)]
    return np.bincount(np.concatenate(draws), minlength=len(labels))


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_balanced_draws_show_all_classes_and_all_examples_of_a_class_equally_often(epochs):
    found = counts(epochs)
    assert found.sum() == epochs * len(LABELS)
    by_class = [found[c == LABELS] for c in range(6)]
    assert np.ptp([c.sum() for c in by_class]) <= 1
    assert all(np.ptp(c) <= 1 for c in by_class)


def test_any_one_balanced_epoch_is_even_too():
    for epoch in (0, 1, 17):
        found = np.bincount(balanced(LABELS, 3, epoch), minlength=len(LABELS))
        assert np.ptp([found[c == LABELS].sum() for c in range(6)]) <= 1
        assert all(np.ptp(found[c == LABELS]) <= 1 for c in range(6))


def test_a_balanced_plan_is_as_long_as_another_and_a_function_of_seed_and_epoch():
    first = plan(labels=LABELS)
    assert (first.indices >= 0).sum() == len(LABELS)
    assert first.indices.shape == plan().indices.shape
    assert np.array_equal(first.indices, plan(labels=LABELS).indices)
    assert not np.array_equal(first.indices, plan(labels=LABELS, epoch=1).indices)
    real = first.indices[first.indices >= 0]
    assert np.ptp(np.bincount(LABELS[real])) <= 1
    assert len({tuple(np.bincount(LABELS[row[row >= 0]])) for row in first.indices}) > 5  # mixed


def test_more_classes_than_most_have_examples_of_are_balanced():
    labels = np.arange(20) % 13
    found = np.bincount(balanced(labels, 0, 0), minlength=20)
    assert np.ptp([found[labels == c].sum() for c in range(13)]) <= 1
