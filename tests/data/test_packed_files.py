"""Compressed files, Parquet, and several files: the same examples as from one plain file."""

import gzip
import json
import os
import time
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bigmodel_jax.data import own_files, records
from bigmodel_jax.data.compressed import open_plain
from bigmodel_jax.data.limit import Limit
from bigmodel_jax.data.own_files import ClassFolder
from bigmodel_jax.data.readers import Unavailable, files
from bigmodel_jax.errors import UserError
from bigmodel_jax.predict import read

UMASK = os.umask(0)
os.umask(UMASK)
CSV = b'\xef\xbb\xbfid,label,text\r\n1,good,"He said ""go"",\r\nand left"\r\n2,bad,\xe7\x94\xb5\r\n'
EXAMPLES = [("bad", "电"), ("good", 'He said "go",\r\nand left')]


def zstd(content):
    return pa.compress(content, "zstd", asbytes=True)


PACK = {".gz": gzip.compress, ".zst": zstd}


@pytest.fixture
def open_files(tmp_path):
    """Opens what is at a path below tmp_path, with a cache beside it."""

    def make(name, **options):
        return files.Reader(str(tmp_path / name), data_dir=str(tmp_path / "cache"), **options)

    return make


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_parquet(path, columns, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def found(reader, split="train"):
    return sorted((reader.label_names[e["label"]], e["text"]) for e in reader.examples(split))


@pytest.mark.parametrize("suffix", PACK)
def test_a_compressed_csv_is_the_csv(suffix, tmp_path, open_files):
    write(tmp_path / "plain.csv", CSV)
    plain = open_files("plain.csv")
    # Two archives in one file, cut within a quoted field: as `cat a.gz b.gz` makes them.
    write(tmp_path / f"mine.csv{suffix}", PACK[suffix](CSV[:40]) + PACK[suffix](CSV[40:]))
    packed = open_files(f"mine.csv{suffix}")
    assert found(packed) == found(plain) == EXAMPLES
    assert packed.fingerprint() == plain.fingerprint()
    assert packed.name == "mine"


def test_any_positions_of_what_is_unpacked_once(tmp_path, open_files, capsys):
    rows = "".join(json.dumps({"text": f"t{i}", "label": i % 3}) + "\n" for i in range(200))
    write(tmp_path / "a.jsonl.zst", zstd(rows.encode()))
    first = open_files("a.jsonl.zst")
    everything = [e["text"] for e in first.examples("train")]
    chosen = np.random.default_rng(0).integers(0, 200, 50)
    again = open_files("a.jsonl.zst")
    assert [e["text"] for e in again.examples("train", chosen)] == [everything[i] for i in chosen]
    assert capsys.readouterr().out.count("Unpacking") == 1


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda whole: whole[: len(whole) // 2], "mine.csv.* is torn or damaged"),
        (lambda whole: whole[:-1], "mine.csv.* is torn or damaged"),
        (lambda whole: whole + b"rubbish", "mine.csv.* is torn or damaged"),
        (lambda whole: b"", "mine.csv.* is not a (gzip|zstd) file, though its name says so"),
        (lambda whole: CSV, "mine.csv.* is not a (gzip|zstd) file, though its name says so"),
    ],
)
def test_a_torn_archive_is_one_sentence_and_leaves_nothing(
    suffix, spoil, message, tmp_path, open_files
):
    content = PACK[suffix](CSV + os.urandom(3000).hex().encode())
    write(tmp_path / f"mine.csv{suffix}", spoil(content))
    with pytest.raises(UserError, match=message):
        open_files(f"mine.csv{suffix}")
    assert not [*(tmp_path / "cache").rglob("unpacked*")]


def test_a_file_that_is_not_what_its_name_says(tmp_path, open_files):
    write(tmp_path / "a.csv", gzip.compress(CSV))
    with pytest.raises(UserError, match=r"a.csv is a gzip file, .* should end in .gz"):
        open_files("a.csv")
    write(tmp_path / "a.txt", b"PK\x03\x04rest")
    with pytest.raises(UserError, match="a.txt is a zip file"):
        open_files("a.txt")
    write(tmp_path / "a.parquet", CSV)
    with pytest.raises(UserError, match="a.parquet is not a Parquet file"):
        open_files("a.parquet")


def test_the_line_of_an_error_is_that_of_the_archive(tmp_path, open_files):
    write(tmp_path / "a.txt.gz", gzip.compress(b"a\tone\nno tab\n"))
    with pytest.raises(UserError, match="a.txt.gz line 2 has no tab"):
        open_files("a.txt.gz")


def test_parquet_by_rows(tmp_path, open_files):
    texts = [text for _, text in EXAMPLES] * 50
    stars = [1, 5] * 50
    path = tmp_path / "a.parquet"
    write_parquet(path, {"id": range(100), "review": texts, "stars": stars}, row_group_size=7)
    reader = open_files("a.parquet", text_column="review", label_column="stars")
    assert reader.label_names == ("1", "5") and reader.splits == {"train": 100}
    order = np.random.default_rng(0).permutation(100)
    expected = [*reader.examples("train")]
    assert [*reader.examples("train", order)] == [expected[i] for i in order]
    assert found(reader) == sorted(zip(map(str, stars), texts, strict=True))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"txt": ["a"], "label": ["x"]}, "has no column 'text'. There are: txt, label. Name it"),
        (
            {"text": ["a", None], "label": ["x", "y"]},
            "a.parquet row 2 has nothing in column 'text'",
        ),
        (
            {"text": ["a", "b"], "label": ["x", None]},
            "a.parquet row 2 has nothing in column 'label'",
        ),
        ({"text": [1, 2], "label": ["x", "y"]}, "a.parquet row 1: the text is a string, not 1"),
        (
            {"text": ["a"], "label": [["x", "y"]]},
            "row 1: the label is .* configs/own_text.py:target=labels",
        ),
        ({"text": ["a"], "label": [float("nan")]}, "row 1 has nothing in column 'label'"),
        ({"text": [b"a", b"\xff"], "label": ["x", "y"]}, "row 2: the bytes .*'text' are not UTF-8"),
        ({"text": [date(2024, 1, 1)], "label": ["x"]}, "row 1: the text is a string, not"),
        ({"text": pa.array([], "str"), "label": pa.array([], "str")}, "holds no examples"),
    ],
)
def test_faults_in_parquet_name_the_row(columns, message, tmp_path, open_files):
    write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(UserError, match=message):
        open_files("a.parquet")


def test_a_torn_parquet_file(tmp_path, open_files):
    path = write_parquet(tmp_path / "a.parquet", {"text": ["a"] * 99, "label": ["x"] * 99})
    write(path, path.read_bytes()[:-20])
    with pytest.raises(UserError, match="a.parquet is torn or damaged"):
        open_files("a.parquet")


def test_binary_columns_are_text(tmp_path, open_files):
    columns = {"text": [text.encode() for _, text in EXAMPLES], "label": [b"bad", b"good"]}
    write_parquet(tmp_path / "a.parquet", columns)
    assert found(open_files("a.parquet")) == EXAMPLES


def test_what_is_packed_is_looked_for_once_and_headers_are_read_once(
    tmp_path, open_files, monkeypatch
):
    monkeypatch.setattr(files, "OPEN_FILES", 2)
    for i in range(4):
        content = "text,label\n" + "".join(f"{i} {j},{j % 2}\n" for j in range(50))
        write(tmp_path / "data" / f"{i}.csv.gz", gzip.compress(content.encode()))
    reader = open_files("data/*.gz")
    first = found(reader)
    monkeypatch.setattr(own_files, "unpack", None)
    monkeypatch.setattr(own_files, "PARSERS", None)
    assert found(reader) == first and len(first) == 200
    monkeypatch.undo()
    for plain in tmp_path.rglob("unpacked-*"):
        assert plain.stat().st_mode & 0o444 == 0o444 & ~UMASK
        plain.unlink()
    assert found(reader) == first  # it is unpacked again


def test_files_of_a_pattern_are_one_split(tmp_path, open_files):
    write(tmp_path / "data" / "b.csv", "text,label\none,x\n")
    write(tmp_path / "data" / "a.csv.gz", gzip.compress(b"label,text\ny,two\n"))
    write(tmp_path / "data" / "deep" / "c.csv", "text,label\nthree,y\n")
    assert found(open_files("data/*.csv*")) == [("x", "one"), ("y", "two")]
    assert open_files("data/*.csv*").name == "data"
    assert len(found(open_files("data/**/*.csv*"))) == 3
    with pytest.raises(Unavailable, match="no file like .*data/.*tsv"):
        open_files("data/*.tsv")


def shards(folder, split, of):
    for i in range(of):
        columns = {"text": [f"{split}{i}", "x"], "label": ["a", "b"]}
        write_parquet(folder / f"{split}-{i:05}-of-{of:05}.parquet", columns)


def test_shards_of_splits(tmp_path, open_files, monkeypatch):
    monkeypatch.setattr(files, "OPEN_FILES", 2)
    shards(tmp_path / "data", "train", 5)
    shards(tmp_path / "data", "validation", 1)
    for reader in (open_files("data"), open_files("data/*.parquet")):
        assert reader.splits == {"train": 10, "validation": 2}
        assert [t for _, t in found(reader)][:5] == [f"train{i}" for i in range(5)]
    assert open_files("data/train-*.parquet").splits == {"train": 10}
    (tmp_path / "data" / "train-00002-of-00005.parquet").unlink()
    with pytest.raises(UserError, match=r"Of the 5 files train-\*-of-00005 there are 4 in"):
        open_files("data")


def test_a_folder_of_files_a_split(tmp_path, open_files):
    for name in ("train/x.jsonl.gz", "train/y.jsonl.gz", "test/z.jsonl.gz"):
        rows = f'{{"text": "{name}", "label": "a"}}\n{{"text": "", "label": "b"}}\n'
        write(tmp_path / "data" / name, gzip.compress(rows.encode()))
    reader = open_files("data")
    assert reader.splits == {"train": 4, "test": 2}
    assert found(reader, "test") == [("a", "test/z.jsonl.gz"), ("b", "")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train.csv", "train.jsonl"), "Both .* would be the train split: keep one"),
        (("train.csv", "train-1.csv"), "Both .* would be the train split"),
        (("train-0.csv", "train-1.jsonl"), "Both .* would be the train split"),
        (("a.csv", "b.csv"), r"holds no train split.*by a pattern, 'DIR/\*.csv'"),
    ],
)
def test_files_that_contradict_each_other(names, message, tmp_path, open_files):
    for name in names:
        write(tmp_path / "data" / name, "text,label\n")
    with pytest.raises(UserError, match=message):
        open_files("data")


def test_a_pattern_of_files_with_and_without_a_split(tmp_path, open_files):
    write(tmp_path / "train.csv", CSV)
    write(tmp_path / "more.csv", CSV)
    with pytest.raises(UserError, match="train.csv is named after a split, more.csv is not"):
        open_files("*.csv")


def test_a_scan_is_remembered_until_a_file_changes(tmp_path, open_files, monkeypatch):
    path = write(tmp_path / "a.txt", "a\tone\nb\ttwo\n")
    new = open_files("a.txt")
    assert not [*tmp_path.rglob("scan-*")]  # too new
    old = time.time() - 60
    os.utime(path, (old, old))
    open_files("a.txt")
    with monkeypatch.context() as patch:
        patch.setattr(files.Reader, "_read", None)
        again = open_files("a.txt")
    assert (again.fingerprint(), again.label_names) == (new.fingerprint(), new.label_names)
    assert [*again.examples("train")] == [*new.examples("train")]
    write(path, "a\tone\nb\tsix\n")
    os.utime(path, (old + 1, old + 1))
    assert open_files("a.txt").fingerprint() != new.fingerprint()
    assert not [*tmp_path.rglob("*.unfinished")]
    for scan in tmp_path.rglob("scan-*"):
        for torn in (b"", b"torn", b"PK\x03\x04torn", scan.read_bytes()[:-30]):
            scan.write_bytes(torn)
            assert found(open_files("a.txt")) == [("a", "one"), ("b", "six")]


def test_other_columns_are_other_data(tmp_path, open_files):
    path = write(tmp_path / "a.csv", "text,other,label\none,two,x\nthree,four,y\n")
    os.utime(path, (1e9, 1e9))
    names = [open_files("a.csv", text_column=c).fingerprint() for c in ("text", "other", "text")]
    assert names[0] == names[2] != names[1]


@pytest.mark.parametrize("keep", ["head", "tail", "both"])
def test_of_a_long_file_only_the_ends_are_read(keep, tmp_path, monkeypatch):
    limit = Limit(1, keep)
    limit.characters = 10
    texts = ["short", "电" * 21, "😀" * 400, "a" * 70 + "é" * 900 + "b" * 50, "x" * 89]
    for i, text in enumerate(texts):
        write(tmp_path / "c" / f"{i}.txt", text)
    folder = ClassFolder(tmp_path)
    with folder.open(limit) as partly, folder.open() as whole:
        assert [whole(i) for i in range(5)] == [[text] for text in texts]
        assert [limit(partly(i)[0]) for i in range(5)] == [limit(text) for text in texts]
        assert len(partly(3)[0]) < 100 and len(partly(2)[0]) < 30
    assert limit.cut == 8


def test_predicting_reads_every_kind(tmp_path):
    write(tmp_path / "a.csv.gz", gzip.compress(CSV))
    write_parquet(tmp_path / "a.parquet", {"text": ["one", "two"], "other": ["1", "2"]})
    write(tmp_path / "a.txt.zst", zstd("\ufefffirst\r\nsecond\n".encode()))
    assert sorted(read(tmp_path / "a.csv.gz")) == sorted(text for _, text in EXAMPLES)
    assert [*read(tmp_path / "a.parquet")] == ["one", "two"]
    assert [*read(tmp_path / "a.parquet", "text", "other")] == [("one", "1"), ("two", "2")]
    assert [*read(tmp_path / "a.txt.zst")] == ["first", "second"]
    write_parquet(tmp_path / "a.parquet", {"text": ["one", None]})
    with pytest.raises(UserError, match="a.parquet row 2 has nothing in column 'text'"):
        list(read(tmp_path / "a.parquet"))


def test_a_stream_is_read_a_little_at_a_time(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 300_000))  # 4 MB
    with open_plain(path) as file:
        assert file.readline() == b'{"text": "x"}\n'
    rows = records.read(path, {"text_column": "text"})
    assert next(rows) == (f"{path} line 1", ["x"])
