"""Blocks of an array: all of it, once, in order, and no block much larger than wanted."""

import numpy as np
import pytest

from bigmodel_jax import blocks


@pytest.mark.parametrize("shape", [(7, 5), (1, 30), (30, 1), (0, 4), (9,)])
@pytest.mark.parametrize("elements", [1, 12, 10_000])
def test_blocks_of_rows_are_the_array(shape, elements, monkeypatch):
    monkeypatch.setattr(blocks, "ELEMENTS", elements)
    array = np.arange(np.prod(shape)).reshape(shape)
    found = [*blocks.rows(array)]
    np.testing.assert_array_equal(np.concatenate([*found, array[:0]]), array)
    assert all(np.shares_memory(block, array) for block in found)
    assert all(block.size <= max(elements, array[:1].size) for block in found)


@pytest.mark.parametrize("shape", [(7, 5), (1, 30), (30, 1)])
@pytest.mark.parametrize("elements", [1, 12, 10_000])
def test_columns_are_those_of_the_array(shape, elements, monkeypatch):
    monkeypatch.setattr(blocks, "ELEMENTS", elements)
    array = np.arange(np.prod(shape)).reshape(shape)
    found = [*blocks.columns(array)]
    assert all(column.flags.c_contiguous for column in found)
    np.testing.assert_array_equal(np.stack(found, 1), array)
