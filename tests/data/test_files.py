"""The user's own files: read as they are written, or refused with the file and the line."""

import csv
import json
import tracemalloc

import numpy as np
import pytest

from bigmodel_jax.data.readers import Unavailable
from bigmodel_jax.data.readers.files import Reader
from bigmodel_jax.errors import UserError

# Texts that try a parser: quotes, separators, newlines, other scripts, characters beyond 16 bits.
TEXTS = [
    ("good", 'He said "go, now", and left'),
    ("bad", "a line,\nanother\r\nand a third"),
    ("good", "这部电影很好看"),
    ("bad", "  spaces kept  "),
    ("good", "emoji \U0001f600; semicolons; and ' quotes '"),
    ("bad", ""),
]
PLAIN = [(label, " ".join(text.split())) for label, text in TEXTS if text]


def pairs(reader, split="train", indices=None):
    return [(reader.label_names[e["label"]], e["text"]) for e in reader.examples(split, indices)]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_csv(path, rows, header=("id", "label", "text")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *((i, *row) for i, row in enumerate(rows))])
    return path


def write_jsonl(path, rows):
    lines = (json.dumps({"label": a, "text": b}, ensure_ascii=False) for a, b in rows)
    return write(path, "\n\n".join(lines))


def write_txt(path, rows):
    return write(path, "".join(f"{label}\t{text}\r\n" for label, text in rows))


def test_csv_with_quotes_and_newlines_in_fields(tmp_path):
    reader = Reader(str(write_csv(tmp_path / "mine.csv", TEXTS)))
    assert reader.name == "mine" and not reader.synthetic
    assert reader.splits == {"train": 6} and reader.label_names == ("bad", "good")
    assert sorted(pairs(reader)) == sorted(TEXTS)


def test_other_formats(tmp_path):
    header = "sentence\tstars\n"
    tsv = write(tmp_path / "a.tsv", header + "".join(f"{text}\t{label}\n" for label, text in PLAIN))
    reader = Reader(str(tsv), text_column="sentence", label_column="stars")
    assert sorted(pairs(reader)) == sorted(PLAIN)
    assert sorted(pairs(Reader(str(write_jsonl(tmp_path / "a.jsonl", TEXTS))))) == sorted(TEXTS)
    assert sorted(pairs(Reader(str(write_txt(tmp_path / "a.txt", PLAIN))))) == sorted(PLAIN)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = write(tmp_path / "excel.csv", b"\xef\xbb\xbftext,label\r\none,a\r\ntwo,b\r\n")
    assert sorted(pairs(Reader(str(path)))) == [("a", "one"), ("b", "two")]
    path = write(tmp_path / "excel.txt", b"\xef\xbb\xbfa\tone\nb\ttwo")
    assert sorted(pairs(Reader(str(path)))) == [("a", "one"), ("b", "two")]


def test_any_positions_in_any_order(tmp_path):
    rows = [(str(i % 3), f'text "{i}",\n{"x" * (i % 7)}') for i in range(200)]
    reader = Reader(str(write_csv(tmp_path / "a.csv", rows)))
    everything = pairs(reader)
    indices = np.random.default_rng(0).integers(0, 200, 50)
    assert pairs(reader, indices=indices) == [everything[i] for i in indices]
    assert pairs(reader, indices=[]) == []


def test_the_order_is_mixed_and_always_the_same(tmp_path):
    rows = [("neg", f"n{i}") for i in range(500)] + [("pos", f"p{i}") for i in range(500)]
    path = write_txt(tmp_path / "sorted.txt", rows)
    first, second = Reader(str(path)), Reader(str(path))
    assert pairs(first) == pairs(second)
    labels = [label for label, _ in pairs(first, indices=np.arange(100))]
    assert 30 < labels.count("neg") < 70


def test_numeric_labels_are_sorted_as_numbers(tmp_path):
    rows = [("10", "a"), ("9", "b"), ("-1", "c"), ("2.5", "d")]
    assert Reader(str(write_txt(tmp_path / "a.txt", rows))).label_names == ("-1", "2.5", "9", "10")
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": 10}\n{"text": "b", "label": 9}\n')
    assert Reader(str(path)).label_names == ("9", "10")


def test_a_folder_with_a_file_a_split(tmp_path):
    write_txt(tmp_path / "train.txt", PLAIN)
    write_csv(tmp_path / "test.csv", TEXTS[:3])
    write_jsonl(tmp_path / "valid.jsonl", TEXTS[:2])
    write(tmp_path / "README.md", "not data")
    reader = Reader(str(tmp_path))
    assert reader.name == tmp_path.name
    assert reader.splits == {"train": 5, "test": 3, "validation": 2}
    assert sorted(pairs(reader, "test")) == sorted(TEXTS[:3])


@pytest.mark.parametrize("splits", [(), ("train",), ("train", "test", "dev")])
def test_folders_of_classes(tmp_path, splits):
    for split in splits or (".",):
        for label in ("neg", "pos"):
            for i in range(3):
                write(tmp_path / split / label / f"{i}.txt", f"{split} {label}\n{i}")
        write(tmp_path / split / ".hidden" / "x", "no class")
    reader = Reader(str(tmp_path))
    assert list(reader.splits.values()) == [6] * max(1, len(splits))
    assert ("validation" in reader.splits) == ("dev" in splits)
    assert reader.label_names == ("neg", "pos")
    for split in splits:
        expected = {(y, f"{split} {y}\n{i}") for y in ("neg", "pos") for i in range(3)}
        found = pairs(reader, "validation" if split == "dev" else split)
        assert set(found) == expected


def test_the_fingerprint_is_that_of_the_contents(tmp_path):
    one = Reader(str(write_txt(tmp_path / "one.txt", PLAIN))).fingerprint()
    assert Reader(str(write_txt(tmp_path / "two.txt", PLAIN))).fingerprint() == one
    assert Reader(str(write_txt(tmp_path / "two.txt", PLAIN[1:]))).fingerprint() != one


def test_texts_are_not_kept_in_memory(tmp_path):
    with (tmp_path / "big.txt").open("w") as file:
        for i in range(2000):
            file.write(f"{i % 2}\t{'word ' * 1000}\n")  # 10 MB
    tracemalloc.start()
    reader = Reader(str(tmp_path / "big.txt"))
    assert sum(len(e["text"]) for e in reader.examples("train")) == 10_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", "text,label\n", "holds no examples"),
        ("a.txt", "\n\n", "holds no examples"),
        ("a.csv", "txt,label\na,b\n", "line 1 has no column 'text'. There are: txt, label."),
        ("a.csv", "text,stars\na,b\n", "Name it with --config.data.label_column=COLUMN.$"),
        (
            "a.csv",
            "text;label\na;b\n",
            "There are: text;label. Its fields must be separated by commas.$",
        ),
        ("a.csv", 'text,label\n"x\ny",a\nonly one\n', "line 4 has 1 field; the header has 2"),
        ("a.csv", "text,label\nno, quotes,a\n", "line 2 has 3 fields.* must stand in quotes.$"),
        ("a.tsv", "text\tlabel\nno\ttabs\ta\n", "line 2 has 3 fields; the header has 2.$"),
        ("a.csv", 'text,label\nx,a\n"never closed,b\n', "line 3: .*opened and never closed"),
        ("a.csv", "text,label\nx,a\ny, \n", "line 3: the label is empty"),
        ("a.csv", b"text,label\nx,a\ncaf\xe9,b\n", "line 3 is not UTF-8: byte 0xe9 at byte 18"),
        ("a.csv", "text,label\nx,a\n".encode("utf-16"), "line 1 is not UTF-8"),
        ("a.csv", "text,label\n\u597d,a\n".encode("gbk"), "line 2 is not UTF-8.*iconv -f ENCODING"),
        ("a.txt", "a\tone\nno tab\n", "line 2 has no tab"),
        ("a.jsonl", '{"text": "x", "label": "a"}\n{"text"\n', "line 2 is not JSON"),
        ("a.jsonl", "[1]\n", "line 1 is not a JSON object, {...}: a .jsonl file has one a line"),
        ("a.jsonl", '{"text": null, "label": 1}', "line 1: 'text' is null. Fill it in"),
        ("a.jsonl", '{"text": "x", "lable": 1}', "line 1 has no 'label'. There are: lable, text"),
        ("a.jsonl", '{"text": 3, "label": 1}', "line 1: the text is a string"),
        ("a.txt", "a\tone\na\ttwo\n", "All examples of .*a.txt have the label 'a'"),
        ("a.xlsx", "", "unknown extension '.xlsx'"),
    ],
)
def test_bad_files_are_one_sentence_with_the_line(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        Reader(str(write(tmp_path / name, content)))


def test_bad_folders(tmp_path):
    with pytest.raises(Unavailable, match="no file or folder"):
        Reader(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="holds no train split"):
        Reader(str(tmp_path))
    write_txt(tmp_path / "test.txt", PLAIN)
    with pytest.raises(UserError, match="holds no train split"):
        Reader(str(tmp_path))
    write_txt(tmp_path / "train.txt", PLAIN)
    write_txt(tmp_path / "val.txt", PLAIN)
    write_txt(tmp_path / "dev.txt", PLAIN)
    with pytest.raises(UserError, match="would be the validation split"):
        Reader(str(tmp_path))


def test_a_label_only_seen_in_test(tmp_path):
    write_txt(tmp_path / "train.txt", PLAIN)
    write(tmp_path / "test.txt", "good\tx\ngod\ty\n")
    with pytest.raises(UserError, match=r"test.txt line 2: the label 'god' .* mean 'good'"):
        Reader(str(tmp_path))


def test_faults_in_class_folders(tmp_path):
    write(tmp_path / "neg" / "0.txt", "x")
    with pytest.raises(UserError, match="have the label 'neg'"):
        Reader(str(tmp_path))
    (tmp_path / "pos").mkdir()
    with pytest.raises(UserError, match="pos holds no files"):
        Reader(str(tmp_path))
    write(tmp_path / "pos" / "0.txt", b"\xff")
    with pytest.raises(UserError, match="0.txt is not UTF-8: byte 0xff at byte 0"):
        Reader(str(tmp_path))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("pos/1.txt", "neg/1.txt", "reviews.csv"), "besides is not read: reviews.csv."),
        (("train.csv", "test_set.csv", "test/a/1.txt"), "besides is not read: test_set.csv."),
        (("train/a/1.txt", "train/b/1.txt", "other/1.txt"), "besides is not read: other/."),
        (
            ("train/a/1.txt", "train/b/1.txt", "train/x.csv"),
            "train holds besides is not read: x.csv",
        ),
        (("pos/1.txt", "neg/1.txt", "LICENCE"), ""),
    ],
)
def test_what_is_not_read_is_named(tmp_path, names, said, capsys):
    for name in names:
        write(tmp_path / name, "text,label\na,x\nb,y\n")
    Reader(str(tmp_path))
    out = capsys.readouterr().out
    assert said in out and ("NOTE" in out) == bool(said)
