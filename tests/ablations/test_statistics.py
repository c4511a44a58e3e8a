"""Intervals, tests and corrections against scipy, and against their definitions."""

import numpy as np
import pytest
from scipy import stats

from bigmodel_jax.ablations import statistics
from bigmodel_jax.errors import UserError


@pytest.mark.parametrize("count", [2, 3, 20])
def test_the_interval_is_students(count):
    values = np.random.default_rng(count).normal(3, 2, count)
    found = statistics.summarise(values)
    low, high = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
    np.testing.assert_allclose(found, [count, values.mean(), values.std(ddof=1), low, high])


def test_one_value_has_no_spread_and_no_interval():
    assert statistics.summarise([0.5]) == (1, 0.5, None, None, None)


@pytest.mark.parametrize("shift", [0.0, 0.3, 5.0])
def test_the_paired_test_is_scipys(shift):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=6), rng.normal(shift, 1, 6)
    expected = stats.ttest_rel(second, first)
    # In another order, and with a seed that the baseline lacks.
    found = statistics.paired(
        {s: second[s] for s in (3, 1, 5, 0, 2, 4)} | {9: 100.0}, dict(enumerate(first))
    )
    low, high = expected.confidence_interval(0.95)
    np.testing.assert_allclose(found, [6, (second - first).mean(), low, high, expected.pvalue])


def test_seeds_that_all_say_the_same_are_certain_either_way():
    same = {0: 1.0, 1: 2.0}
    assert statistics.paired(same, same).p == 1
    assert statistics.paired({0: 1.5, 1: 2.5}, same).p == 0


def test_a_test_needs_two_seeds_in_common():
    with pytest.raises(UserError, match="at least 2 seeds, and there is 1 in common"):
        statistics.paired({0: 1.0, 1: 2.0}, {1: 1.0, 2: 1.0})


def test_holms_correction_rejects_what_his_procedure_does():
    rng = np.random.default_rng(1)
    for _ in range(50):
        ps = (rng.random(5) ** 3).tolist()
        adjusted = statistics.holm(ps)
        for alpha in (0.01, 0.05, 0.2):
            rejected = set()
            for rank, i in enumerate(np.argsort(ps)):  # until one is not, as the paper has it
                if ps[i] > alpha / (len(ps) - rank):
                    break
                rejected.add(int(i))
            assert {i for i, p in enumerate(adjusted) if p <= alpha} == rejected


def test_what_is_said_names_the_seeds_where_nothing_was_found():
    unclear = statistics.paired({0: 1.0, 1: 2.0}, {0: 1.1, 1: 1.8})
    assert statistics.in_words(unclear, unclear.p) == "no evidence of a difference with 2 seeds"
    assert statistics.in_words(unclear._replace(mean=-1.0), 0.01) == "lower"


def test_folds_share_examples_and_so_their_intervals_are_wider_than_those_of_seeds():
    """Nadeau and Bengio's corrected t, by hand: k folds judge 1 / (k - 1) of what they learn from."""
    values, baseline = [0.91, 0.93, 0.90, 0.94, 0.92], [0.90, 0.90, 0.91, 0.92, 0.90]
    change = np.subtract(values, baseline)
    error = np.sqrt((1 / 5 + 1 / 4) * change.var(ddof=1))
    found = statistics.paired(
        *(dict(enumerate(v)) for v in (values, baseline)), statistics.folds(5)
    )
    assert found.p == pytest.approx(2 * stats.t.sf(change.mean() / error, 4))
    half = stats.t.ppf(0.975, 4) * error
    assert (found.low, found.high) == pytest.approx((change.mean() - half, change.mean() + half))
    wide, narrow = (
        statistics.summarise(values, r) for r in (statistics.folds(5), statistics.SEEDS)
    )
    assert (wide.high - wide.low) == pytest.approx(1.5 * (narrow.high - narrow.low))
