"""The order of the data is a pure function of (seed, epoch), and loses no example."""

import numpy as np
import pytest

from bigmodel_jax.data.order import batches_per_epoch, plan_epoch
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
