"""Parts of a split: every example is in one, and what is said of a part is what is true of it."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from bigmodel_jax.data.readers.files import Reader
from bigmodel_jax.errors import UserError
from bigmodel_jax.evals import slices
from bigmodel_jax.reports import sliced
from tests import made_run


@pytest.mark.parametrize("kind", ["binary", "six", "labels", "number"])
def test_a_parts_number_is_the_mean_over_its_examples_and_the_parts_make_up_the_whole(kind):
    details = made_run.details(kind, 300)
    metric, each = slices.scores(details)
    rows = slices.table(["length"], details, None)["by length"]
    assert sum(row["examples"] for row in rows) == 300 and len(rows) == slices.GROUPS
    for row in rows:
        low, _, high = row["value"].partition(" to ")
        inside = (details["lengths"] >= int(low)) & (details["lengths"] <= int(high or low))
        assert row["examples"] == inside.sum()
        assert (
            row[metric] == pytest.approx(each[inside].mean())
            and metric in sliced.tables({"by length": rows})[0].header
        )
        assert row["low"] <= row[metric] <= row["high"]
    whole = sum(row["examples"] * row[metric] for row in rows) / 300
    assert whole == pytest.approx(each.mean())


def test_a_label_is_a_part_whose_accuracy_is_its_recall():
    from sklearn.metrics import recall_score

    details = made_run.details("six")
    rows = slices.table(["label"], details, None)["by label"]
    found = {row["value"]: row["accuracy"] for row in rows}
    expected = recall_score(details["labels"], details["probabilities"].argmax(-1), average=None)
    assert found == pytest.approx(dict(zip(details["label_names"], expected, strict=True)))


def test_rare_names_are_taken_together_and_few_numbers_stay_apart():
    names = [f"name {i % 30 if i < 90 else i % 5}" for i in range(200)]
    parts = slices.parts(names)
    assert [len(part) for _, part in parts[:5]] == [25] * 5 and parts[-1][0] == "10 others"
    assert sorted(np.concatenate([part for _, part in parts])) == list(range(200))
    assert [name for name, _ in slices.parts(["10", "9", "1", "9"])] == ["1", "9", "10"]


def test_a_column_of_a_file_stands_beside_the_text_of_its_row(tmp_path):
    path, rows = tmp_path / "texts.csv", range(50)
    with path.open("w", newline="") as file:
        header = ("genre", "label", "text")
        csv.writer(file).writerows([header, *((f"of {i}", "ab"[i % 2], f"text {i}") for i in rows)])
    reader = Reader(str(path), data_dir=str(tmp_path / "data"))
    chosen = np.array([3, 40, 7])
    texts = [example["text"] for example in reader.examples("train", chosen)]
    found = reader.field("train", chosen, "genre")
    assert found == [text.replace("text", "of") for text in texts]
    with pytest.raises(UserError, match="no column 'gente'.*genre, label, text"):
        reader.field("train", chosen, "gente")


def test_an_unknown_field_is_refused_with_those_there_are():
    source, details = SimpleNamespace(), made_run.details("binary")
    with pytest.raises(UserError, match="'lenght'.*label and length.*Did you mean 'length'"):
        slices.values("lenght", details, source)
