"""Packing: every token in one row and one place, whatever the kind; best fit as a plain loop does it."""

import numpy as np
import pytest

from bigmodel_jax.data.packing import KINDS, Runs, best_fit, fill, in_pieces, make_index

COUNTS = np.array([5, 1, 30, 8, 7, 8, 2, 19, 3])
FIRST = np.concatenate([[3], 3 + np.cumsum(COUNTS + 2)[:-1]])  # gaps of 2 between spans


def places(index, row, shift=0):
    first, count = index.runs(row, shift)
    assert count.sum() == index.lengths[row] and (count > 0).all()
    return [np.arange(f, f + c) for f, c in zip(first, count, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [2, 7, 8, 100])
def test_every_token_is_in_one_row(kind, length):
    index = make_index(kind, FIRST, COUNTS, length)
    found = np.concatenate([x for r in range(len(index.lengths)) for x in places(index, r)])
    expected = np.concatenate([np.arange(f, f + c) for f, c in zip(FIRST, COUNTS, strict=True)])
    assert index.lengths.max() <= length
    np.testing.assert_array_equal(np.sort(found), expected)


@pytest.mark.parametrize("shift", range(0, 90, 7))
def test_a_shift_moves_where_concatenated_documents_are_cut_and_loses_nothing(shift):
    index = make_index("concat", FIRST, COUNTS, 8)
    found = np.concatenate([x for r in range(len(index.lengths)) for x in places(index, r, shift)])
    stream = np.concatenate([np.arange(f, f + c) for f, c in zip(FIRST, COUNTS, strict=True)])
    np.testing.assert_array_equal(found, np.roll(stream, -shift))


def test_the_end_and_the_beginning_of_the_stream_are_segments_of_their_own():
    index = make_index("concat", np.array([0]), np.array([10]), 4)
    assert [x.tolist() for x in places(index, 1, 4)] == [[8, 9], [0, 1]]


def by_loop(counts, length):
    """What is left in each row by best-fit decreasing, one piece at a time."""
    rooms = []
    for count in sorted(counts, reverse=True):
        fitting = [r for r in range(len(rooms)) if rooms[r] >= count]
        if fitting:
            rooms[min(fitting, key=rooms.__getitem__)] -= count
        else:
            rooms.append(length - count)
    return sorted(rooms)


@pytest.mark.parametrize("seed", range(20))
def test_best_fit_fills_rows_as_a_loop_over_all_rows_does(seed):
    rng = np.random.default_rng(seed)
    length = int(rng.integers(3, 30))
    counts = rng.integers(1, length + 1, rng.integers(1, 60))
    order, offsets = best_fit(counts, length)
    assert sorted(order) == list(range(len(counts)))
    filled = np.add.reduceat(counts[order], offsets[:-1])
    assert sorted(length - filled) == by_loop(counts.tolist(), length)


def test_best_fit_never_cuts_what_fits_and_cuts_the_rest_at_whole_rows():
    index = make_index("best_fit", FIRST, COUNTS, 8)
    rows = [np.stack(index.runs(row, 0), 1).tolist() for row in range(len(index.lengths))]
    runs = {(first, count) for row in rows for first, count in row}
    whole = {(int(f), int(c)) for f, c in zip(FIRST, COUNTS, strict=True) if c <= 8}
    assert whole <= runs
    first, count = in_pieces(FIRST[2:3], COUNTS[2:3], 8)
    assert count.tolist() == [8, 8, 8, 6] and (np.diff(first) == 8).all()


def test_an_index_is_computed_once(tmp_path, monkeypatch):
    from bigmodel_jax.data import packing

    cache = tmp_path / "packing.npz"
    made = make_index("best_fit", FIRST, COUNTS, 8, cache)
    monkeypatch.setattr(packing, "best_fit", None)
    again = make_index("best_fit", FIRST, COUNTS, 8, cache)
    for row in range(len(made.lengths)):
        np.testing.assert_array_equal(made.runs(row, 0), again.runs(row, 0))


def test_rows_are_filled_as_a_loop_fills_them():
    flat = np.arange(100, 200).astype(np.uint16)
    runs = Runs(np.array([5, 20, 40]), np.array([3, 2, 6]), np.array([2, 1, 0]))
    batch = fill(flat, runs, 6, shift=True)
    assert batch["tokens"].tolist() == [[104, 105, 106, 119, 120, 0], [*range(139, 145)], [0] * 6]
    assert batch["targets"].tolist() == [[105, 106, 107, 120, 121, 0], [*range(140, 146)], [0] * 6]
    assert batch["segments"].tolist() == [[1, 1, 1, 2, 2, 0], [1] * 6, [0] * 6]
    assert batch["positions"].tolist() == [[0, 1, 2, 0, 1, 0], [0, 1, 2, 3, 4, 5], [0] * 6]
    assert batch["mask"].tolist() == [[True] * 5 + [False], [True] * 6, [False] * 6]
    unshifted = fill(flat, runs, 6, shift=False)
    assert (
        "targets" not in unshifted
        and unshifted["tokens"][0].tolist() == batch["targets"][0].tolist()
    )
