"""What is said of a training part's labels before anything is learnt."""

import numpy as np
import pytest

from bigmodel_jax import blocks
from bigmodel_jax.data import encoding
from bigmodel_jax.data.labels import check_labels
from bigmodel_jax.errors import UserError


def check(labels, target="class", names="abcdef"):
    return check_labels(np.asarray(labels), target, names, "The training part")


def test_nothing_is_said_of_labels_as_they_should_be():
    assert check([0, 1, 2], names="abc") == check([0.5, 1.0], "number") == []
    assert check([[1, 1], [0, 1]], "labels", "ab") == []


def test_classes_that_do_not_occur_are_named_the_first_three_of_them():
    assert check([0, 1], names="abc") == [
        "The training part has no example of 'c': of 3 classes, 1 cannot be learnt."
    ]
    (note,) = check([[1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]], "labels")
    assert "'c', 'd', 'e' and 1 more: of 6 classes, 4 cannot" in note


def test_one_label_a_text_makes_the_separator_suspicious():
    (note,) = check([[1, 0], [0, 1]], "labels", "ab")
    assert "config.data.label_separator" in note


def test_almost_as_many_classes_as_examples_are_suspicious():
    (note,) = check(range(8), names="abcdefgh")
    assert note.endswith("8 classes among 8 examples. Is config.data.label_column another?")
    (note,) = check(range(8), names=[f"{i}.5" for i in range(8)])
    assert note.endswith("To estimate numbers take configs/own_text.py:target=number.")
    assert check([0, 1, 2, 3] * 2, names="abcd") == []


@pytest.mark.parametrize(
    "target, labels, said",
    [
        ("class", [1, 1], "only the class 'b'"),
        ("labels", [[1, 0], [1, 0]], "same set of labels"),
        ("number", [2.5, 2.5], "the number 2.5"),
    ],
)
def test_equal_labels_are_refused(target, labels, said):
    with pytest.raises(UserError, match=said):
        check(labels, target)


def test_labels_are_compared_in_blocks_of_rows(monkeypatch):
    monkeypatch.setattr(blocks, "ELEMENTS", 4)
    same = [[1, 0]] * 7
    assert check([*same, [1, 1]], "labels", "ab") == []
    with pytest.raises(UserError, match="same set of labels"):
        check(same, "labels", "ab")


@pytest.mark.parametrize("target", ["class", "labels", "number"])
def test_label_names_come_back_from_the_assets(target, tmp_path):
    encoding.save_labels(tmp_path, ("ja", "n\u00ee"), target)
    assert encoding.load_labels(tmp_path) == ("ja", "n\u00ee")
