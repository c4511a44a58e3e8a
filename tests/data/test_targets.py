"""What is learnt of a text: a class, any number of labels, a number; and pairs of texts."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bigmodel_jax.data.readers.files import Reader
from bigmodel_jax.errors import UserError


@pytest.fixture
def make(tmp_path):
    """A reader of a file of that name and content."""

    def make(content, name="a.csv", **options):
        (tmp_path / name).write_text(content, encoding="utf-8")
        return Reader(str(tmp_path / name), data_dir=str(tmp_path / "cache"), **options)

    return make


def labels(reader, split="train"):
    """{text: label} with names for ids."""
    name = reader.label_names.__getitem__
    found = {e["text"]: e["label"] for e in reader.examples(split)}
    if reader.target == "number":
        return found
    return {t: [*map(name, x)] if isinstance(x, list) else name(x) for t, x in found.items()}


def test_a_class_is_the_default(make):
    reader = make("text,label\na,x\nb,y\n")
    assert (reader.target, reader.pairs) == ("class", False)
    assert labels(reader) == {"a": "x", "b": "y"}


def test_several_labels_in_a_field(make):
    content = 'text,label\na,"y, x"\nb,\nc,x\nd," x,,x"\n'
    reader = make(content, target="labels")
    assert reader.label_names == ("x", "y") and reader.target == "labels"
    assert labels(reader) == {"a": ["y", "x"], "b": [], "c": ["x"], "d": ["x"]}
    reader = make("text,label\na,x;y z\nb,x\n", target="labels", label_separator=";")
    assert labels(reader) == {"a": ["x", "y z"], "b": ["x"]}


def test_several_labels_in_a_list(make, tmp_path):
    rows = [("a", ["x", "y"]), ("b", []), ("c", [3]), ("d", "x,y")]
    content = "".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in rows)
    reader = make(content, "a.jsonl", target="labels")
    assert labels(reader) == {"a": ["x", "y"], "b": [], "c": ["3"], "d": ["x", "y"]}
    table = pa.table({"text": [t for t, _ in rows[:2]], "label": [y for _, y in rows[:2]]})
    pq.write_table(table, tmp_path / "a.parquet")
    parquet = Reader(str(tmp_path / "a.parquet"), target="labels", data_dir=str(tmp_path))
    assert labels(parquet) == {"a": ["x", "y"], "b": []}


def test_a_label_of_several_that_is_only_in_test(tmp_path):
    (tmp_path / "train.csv").write_text('text,label\na,"x,yes"\n')
    (tmp_path / "test.csv").write_text('text,label\na,"x,yse"\n')
    with pytest.raises(UserError, match=r"test.csv line 2: the label 'yse' .* mean 'yes'"):
        Reader(str(tmp_path), target="labels")


def test_numbers(make):
    reader = make("text,label\na,-1.5\nb,2e3\nc, 7 \n", target="number")
    assert reader.label_names == ("value",) and reader.target == "number"
    assert labels(reader) == {"a": -1.5, "b": 2000.0, "c": 7.0}
    reader = make(
        '{"text": "a", "label": 0.5}\n{"text": "b", "label": "2"}', "a.jsonl", target="number"
    )
    assert labels(reader) == {"a": 0.5, "b": 2.0}


@pytest.mark.parametrize("bad", ["nan", "-inf", "1e999", "five", "", '"1,5"'])
def test_what_is_no_finite_number_is_named_with_its_line(bad, make):
    with pytest.raises(UserError, match="a.csv line 3: the label .* is not a finite number"):
        make(f"text,label\na,1\nb,{bad}\n", target="number")


@pytest.mark.parametrize("bad", ["true", "NaN", "[1]", "{}"])
def test_what_is_no_finite_number_in_json(bad, make):
    with pytest.raises(UserError, match="a.jsonl line 1: the label .* is not a finite number"):
        make(f'{{"text": "a", "label": {bad}}}\n', "a.jsonl", target="number")


def test_pairs(make):
    content = "text,hypothesis,label\nA man eats.,Someone eats.,yes\nA man eats.,Nobody eats.,no\n"
    reader = make(content, pair_column="hypothesis")
    assert reader.pairs
    found = {
        reader.label_names[e["label"]]: (e["text"], e["pair"]) for e in reader.examples("train")
    }
    assert found == {"yes": ("A man eats.", "Someone eats."), "no": ("A man eats.", "Nobody eats.")}
    with pytest.raises(
        UserError, match="no column 'premise'.*Name it with --config.data.pair_column=COLUMN"
    ):
        make(content, pair_column="premise")
    with pytest.raises(UserError, match="the text is a string"):
        make('{"text": "a", "b": 3, "label": 1}', "a.jsonl", pair_column="b")


def test_formats_without_columns_have_neither(make, tmp_path):
    with pytest.raises(UserError, match="a pair needs another format"):
        make("a\tb\n", "a.txt", pair_column="c")
    (tmp_path / "folder" / "x").mkdir(parents=True)
    (tmp_path / "folder" / "x" / "1.txt").write_text("x")
    for options in ({"pair_column": "b"}, {"target": "number"}):
        with pytest.raises(UserError, match="holds class folders, which have no columns"):
            Reader(str(tmp_path / "folder"), **options)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("text,label\na,x\n", {"target": "labes"}, "'labes'. Did you mean 'labels'"),
        ("text,label\na,x\n", {"target": "labels", "label_separator": ""}, "separator is empty"),
        ("text,label\na,\nb,\n", {"target": "labels"}, "No example of .*a.csv has a label"),
        ("text,label\na,2\nb,2.0\n", {"target": "number"}, "a.csv have the number 2"),
    ],
)
def test_settings_that_leave_nothing_to_learn(content, options, message, make):
    with pytest.raises(UserError, match=message):
        make(content, **options)


def test_two_thousand_classes_in_one_folder(tmp_path):
    for i in range(2000):
        (tmp_path / "data" / f"class{i}").mkdir(parents=True)
        (tmp_path / "data" / f"class{i}" / "only.txt").write_text(f"text {i}")
    reader = Reader(str(tmp_path / "data"), data_dir=str(tmp_path))
    assert len(reader.label_names) == reader.splits["train"] == 2000
    assert all(text == f"text {label[5:]}" for text, label in labels(reader).items())


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ('"1,201"', "'1,201' is not a finite number, without thousands separators"),
        ("1_200", "'1_200' is not a finite number, without thousands separators"),
        ("many", r"'many' is not a finite number\."),
        ("9" * 400, "is not a finite number"),
    ],
)
def test_what_is_no_number_is_said(make, label, message):
    with pytest.raises(UserError, match=message):
        make(f"text,label\na,1\nb,{label}\n", target="number")


@pytest.mark.parametrize("digits", [400, 5000])
def test_an_integer_beyond_all_floats_is_refused(make, digits):
    content = f'{{"text": "a", "label": 1}}\n{{"text": "b", "label": {"9" * digits}}}\n'
    with pytest.raises(UserError, match="line 2"):
        make(content, "a.jsonl", target="number")


def test_nan_and_inf_and_underscores_are_no_numbers_to_sort_by(make):
    assert make("text,label\na,10\nb,nan\nc,9\n").label_names == ("10", "9", "nan")
    assert make("text,label\na,10\nb,inf\nc,9\n").label_names == ("10", "9", "inf")
    assert make("text,label\na,1_0\nb,9\n").label_names == ("1_0", "9")


@pytest.mark.parametrize("label", ["NaN", "[NaN]", "[null]"])
def test_nothing_is_no_label(make, label):
    target = "labels" if label.startswith("[") else "class"
    with pytest.raises(UserError, match="line 1: the label is empty"):
        make(f'{{"text": "a", "label": {label}}}\n', "a.jsonl", target=target)
