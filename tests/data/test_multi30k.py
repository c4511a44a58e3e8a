"""Multi30k from the published files: whole, or refused."""

import gzip
import os
from pathlib import Path

import pytest

from bigmodel_jax.data.builders import multi30k
from bigmodel_jax.data.prepared import prepare
from bigmodel_jax.data.readers.tfds import Reader
from bigmodel_jax.errors import UserError

PARTS = {"train": ("train", 5), "validation": ("val", 2)}


def write(folder, packed=True):
    for name, count in PARTS.values():
        for language in multi30k.LANGUAGES:
            text = "".join(f"{language} {name} {i} äé\n" for i in range(count)).encode()
            path = folder / f"{name}.{language}"
            if packed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(text))
            else:
                path.write_bytes(text)


@pytest.mark.parametrize("packed", [True, False])
def test_lines_of_one_number_are_one_example(packed, tmp_path):
    write(tmp_path, packed)
    prepare("multi30k", tmp_path / "data", tmp_path, parts=PARTS)
    reader = Reader("multi30k", "en", None, "de", data_dir=str(tmp_path / "data"))
    assert reader.splits == {"train": 5, "validation": 2}
    found = list(reader.examples("train"))
    assert sorted(x["text"] for x in found) == [f"en train {i} äé" for i in range(5)]
    assert all(x["pair"] == x["text"].replace("en", "de", 1) for x in found)


@pytest.mark.parametrize("harm", ["missing", "short", "torn"])
def test_half_of_it_is_refused_and_nothing_is_left(harm, tmp_path):
    write(tmp_path)
    path = tmp_path / "val.de.gz"
    if harm == "missing":
        path.unlink()
    elif harm == "short":
        path.write_bytes(gzip.compress(b"one line\n"))
    else:
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="val.de.*Nothing was prepared"):
        prepare("multi30k", tmp_path / "data", tmp_path, parts=PARTS)
    assert not (tmp_path / "data" / "multi30k").exists()


def test_it_is_not_downloaded(tmp_path):
    with pytest.raises(UserError, match="published as several files.*--from=PATH"):
        prepare("multi30k", tmp_path)


@pytest.mark.skipif("BIGMODEL_TEST_DATA" not in os.environ, reason="needs BIGMODEL_TEST_DATA")
def test_the_published_files_have_29000_pairs(tmp_path):
    source = Path(os.environ["BIGMODEL_TEST_DATA"]) / "multi30k"
    prepare("multi30k", tmp_path, source)
    reader = Reader("multi30k", "en", None, "fr", data_dir=str(tmp_path))
    assert reader.splits["train"] == 29_000 and reader.splits["test_2016_flickr"] == 1_000
