"""`python -m bigmodel_jax.prepare`: a data set is whole, or it is not there."""

import functools
import hashlib
import http.server
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import tensorflow_datasets as tfds

from bigmodel_jax.data import prepared
from bigmodel_jax.data.array_record import _sorted
from bigmodel_jax.data.builders import imdb_reviews, tinyshakespeare
from bigmodel_jax.data.download import download, probe
from bigmodel_jax.data.prepared import find, prepare
from bigmodel_jax.data.readers import Unavailable
from bigmodel_jax.data.readers.tfds import Reader
from bigmodel_jax.errors import UserError

PER_CLASS = 4
COUNTS = dict.fromkeys(imdb_reviews.COUNTS, PER_CLASS)
COMMAND = [sys.executable, "-m", "bigmodel_jax.prepare"]


def made_up_reviews():
    """(name in the archive, text), laid out as IMDB is, with unlabelled reviews and other files."""
    yield "aclImdb/README", "About this data set."
    for split, label in COUNTS:
        for i in range(PER_CLASS):
            stars = 9 if label == "pos" else 2
            yield f"aclImdb/{split}/{label}/{i}_{stars}.txt", f"{split} {label} {i} – café <br /> "
    yield "aclImdb/train/unsup/0_0.txt", "no label"
    yield "aclImdb/train/urls_pos.txt", "http://..."


@pytest.fixture
def folder(tmp_path):
    for name, text in made_up_reviews():
        path = tmp_path / "extracted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "extracted" / "aclImdb"


def archive(path: Path, mode: Any) -> Path:
    with tarfile.open(path, mode) as tar:
        for name, text in made_up_reviews():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


def prepare_tiny(data_dir, source=None):
    return prepare("imdb_reviews", data_dir, source, counts=COUNTS)


def left_in(data_dir) -> list[str]:
    return sorted(p.name for p in Path(data_dir).iterdir() if not p.name.endswith(".lock"))


def test_archives_and_folders_give_the_same_files_bit_for_bit(tmp_path, folder):
    sources = {
        "gz": archive(tmp_path / "aclImdb_v1.tar.gz", "w:gz"),
        "xz": archive(tmp_path / "aclImdb.tar.xz", "w:xz"),
        "folder": folder,
        "parent": folder.parent,
    }
    hashes = set()
    for name, source in sources.items():
        made, new = prepare_tiny(tmp_path / name, source)
        record = json.loads((made / "bigmodel_jax.json").read_text())
        assert new and record["splits"] == {"train": 8, "test": 8}
        assert record["sha256"] == prepared.fingerprint(made)
        assert left_in(tmp_path / name) == ["imdb_reviews"]
        hashes.add(record["sha256"])
    assert len(hashes) == 1


def test_features_are_written_in_one_order_whatever_the_process():
    from tensorflow_datasets.proto import tf_example_pb2

    example = vars(tf_example_pb2)["Example"]()
    for key in ("text", "label", "a", "z", "b"):
        example.features.feature[key].int64_list.value.append(1)
    raw = _sorted(example.SerializeToString())
    places = [raw.index(bytes([len(k)]) + k) for k in (b"a", b"b", b"label", b"text", b"z")]
    assert places == sorted(places)


def test_examples_and_their_order_are_those_of_the_tfds_builder(tmp_path, folder):
    from tensorflow_datasets.datasets.imdb_reviews import imdb_reviews_dataset_builder as stock

    files = [(name, text.encode()) for name, text in made_up_reviews()]

    class WithoutTensorFlow(stock.Builder, skip_registration=True):
        name = "imdb_reviews"
        __module__ = stock.__name__  # where tfds looks for its descriptions

        def _split_generators(self, dl_manager) -> Any:
            return {
                split: self._generate_examples(
                    ((name, io.BytesIO(raw)) for name, raw in files), f"aclImdb/{split}"
                )
                for split in ("train", "test")
            }

    theirs: Any = WithoutTensorFlow(data_dir=str(tmp_path / "stock"), file_format="array_record")
    theirs.download_and_prepare()
    prepare_tiny(tmp_path / "ours", folder)
    ours = Reader("imdb_reviews", data_dir=str(tmp_path / "ours"))
    # What tfds prepared is read as well: under its configuration, "plain_text".
    read = Reader("imdb_reviews", data_dir=str(tmp_path / "stock"))
    for split in ("train", "test"):
        expected = [
            {"text": e["text"].decode(), "label": e["label"]} for e in theirs.as_data_source(split)
        ]
        assert list(ours.examples(split)) == list(read.examples(split)) == expected


def test_the_reader_decodes_and_reads_at_random(tmp_path, folder):
    prepare_tiny(tmp_path, folder)
    reader = Reader("imdb_reviews", data_dir=str(tmp_path))
    assert reader.splits == {"train": 8, "test": 8} and reader.label_names == ("neg", "pos")
    examples = list(reader.examples("train"))
    assert {(e["text"], e["label"]) for e in examples} == {
        (f"train {label} {i} – café <br />", k)
        for k, label in enumerate(("neg", "pos"))
        for i in range(PER_CLASS)
    }
    assert list(reader.examples("train", [5, 0, 5])) == [examples[i] for i in (5, 0, 5)]
    assert len(reader.fingerprint()) == 64
    with pytest.raises(UserError, match="no split 'tset'. Did you mean 'test'"):
        next(reader.examples("tset"))
    with pytest.raises(UserError, match="no feature 'txt'. Did you mean 'text'"):
        Reader("imdb_reviews", text_key="txt", data_dir=str(tmp_path))


def test_a_set_in_another_format_or_not_there_is_said_to_be_so(tmp_path):
    info = tmp_path / "other" / "1.0.0" / "dataset_info.json"
    info.parent.mkdir(parents=True)
    info.write_text('{"fileFormat": "tfrecord"}')
    with pytest.raises(Unavailable, match="not in array_record"):
        Reader("other", data_dir=str(tmp_path))
    with pytest.raises(Unavailable, match="Did you mean 'imdb_reviews'"):
        Reader("imdb_review", data_dir=str(tmp_path))


def test_the_highest_version_is_found(tmp_path):
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        info = tmp_path / "some" / version / "dataset_info.json"
        info.parent.mkdir(parents=True)
        info.write_text('{"fileFormat": "array_record"}')
    assert find("some", tmp_path) == tmp_path / "some" / "1.10.0"


def test_a_set_that_is_not_whole_is_refused_and_leaves_nothing(tmp_path, folder):
    (folder / "test" / "pos" / "0_9.txt").unlink()
    with pytest.raises(UserError, match=r"3 reviews in test/pos, not the 4"):
        prepare_tiny(tmp_path / "data", folder)
    assert left_in(tmp_path / "data") == []


def test_bytes_that_are_not_utf8_are_named(tmp_path, folder):
    (folder / "train" / "neg" / "0_2.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match=r"train/neg/0_2.txt is not UTF-8"):
        prepare_tiny(tmp_path / "data", folder)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_damaged_archive_is_one_clear_sentence(tmp_path, mode):
    whole = archive(tmp_path / "a.tar", mode)
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    with pytest.raises(UserError):
        prepare_tiny(tmp_path / "data", cut)
    assert left_in(tmp_path / "data") == []
    with pytest.raises(UserError, match="does not exist"):
        prepare_tiny(tmp_path / "data", tmp_path / "nothing.tar.gz")


def test_prepared_twice_is_prepared_once(tmp_path, folder):
    first, new = prepare_tiny(tmp_path, folder)
    assert new
    assert prepare_tiny(tmp_path, folder) == (first, False)


def test_killed_half_way_nothing_looks_finished(tmp_path):
    whole = archive(tmp_path / "whole.tar", "w").read_bytes()
    pipe, data_dir = tmp_path / "pipe.tar", tmp_path / "data"
    os.mkfifo(pipe)
    code = "from bigmodel_jax.data.prepared import prepare; import sys; prepare(*sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", code, "imdb_reviews", data_dir, pipe])
    with pipe.open("wb", buffering=0) as writer:  # opens when the other side reads
        writer.write(whole[: len(whole) // 2])
        time.sleep(0.2)
        assert left_in(data_dir) == [".imdb_reviews.preparing"]
        process.kill()
        process.wait()
    assert left_in(data_dir) == [".imdb_reviews.preparing"]
    assert find("imdb_reviews", data_dir) is None
    prepare_tiny(data_dir, tmp_path / "whole.tar")
    assert left_in(data_dir) == ["imdb_reviews"]


def test_two_at_once_prepare_once(tmp_path, folder, monkeypatch):
    made = []

    def slow(*args):
        time.sleep(0.3)
        made.append(prepared_by(*args))
        return made[-1]

    prepared_by = prepared._prepare
    monkeypatch.setattr(prepared, "_prepare", slow)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(prepare_tiny(tmp_path / "data", folder)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(made[0], False), (made[0], True)]


@pytest.fixture
def server(tmp_path):
    """Serves `tmp_path` on this machine; yields the address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def test_without_from_it_is_downloaded_and_checked(tmp_path, server, monkeypatch):
    raw = archive(tmp_path / "a.tar.gz", "w:gz").read_bytes()
    monkeypatch.setattr(imdb_reviews.Builder, "URL", f"{server}/a.tar.gz")
    monkeypatch.setattr(imdb_reviews.Builder, "SIZE", len(raw))
    with pytest.raises(UserError, match="not what was published"):
        prepare_tiny(tmp_path / "data")
    assert left_in(tmp_path / "data") == []
    monkeypatch.setattr(imdb_reviews.Builder, "SHA256", hashlib.sha256(raw).hexdigest())
    prepare_tiny(tmp_path / "data")
    assert left_in(tmp_path / "data") == ["imdb_reviews"]


def test_a_download_that_breaks_off_says_where(tmp_path, server):
    with pytest.raises(UserError, match="broke off after 0 of 10 bytes"):
        download(f"{server}/missing", tmp_path / "x", 10, "")


def test_no_network_is_known_within_seconds(server):
    assert probe(f"{server}/") is None
    assert "404" in (probe(f"{server}/missing") or "")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        start = time.monotonic()
        assert "no answer" in (probe(address, timeout=0.3) or "")
        assert time.monotonic() - start < 2
    assert "cannot be reached" in (probe(address) or "")


def test_the_command_fails_with_one_sentence(tmp_path):
    for arguments, expected in (
        (["imdb_reviws"], "Did you mean 'imdb_reviews'"),
        ([], "Which data set"),
        (["imdb_reviews", "--from=nowhere"], "does not exist"),
        (["imdb_reviews", f"--from={tmp_path}"], "0 reviews in train/neg"),
    ):
        done = subprocess.run(
            [*COMMAND, *arguments, f"--data_dir={tmp_path}"], capture_output=True, text=True
        )
        assert done.returncode == 1 and expected in done.stderr
        assert "Traceback" not in done.stderr and not done.stdout


@pytest.mark.slow
def test_the_real_archive(tmp_path):
    data = os.environ.get("BIGMODEL_TEST_DATA")
    if not data:
        pytest.skip("BIGMODEL_TEST_DATA is not set")
    done = subprocess.run(
        [*COMMAND, "imdb_reviews", f"--from={data}/aclImdb.tar.xz", f"--data_dir={tmp_path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "train 25,000, test 25,000 examples" in done.stdout
    builder: Any = tfds.builder_from_directory(tmp_path / "imdb_reviews" / "1.0.0")
    for split in ("train", "test"):
        assert sum(e["label"] for e in builder.as_data_source(split)) == 12_500


def test_tinyshakespeare_is_cut_at_nine_tenths_of_its_characters(tmp_path):
    text = "To be, or not to be: that is the quéstion.\n" * 10
    source = tmp_path / "tinyshakespeare.txt"
    source.write_bytes(text.encode())
    with pytest.raises(UserError, match="1,115,394 bytes. Nothing was prepared; text of your own"):
        prepare("tinyshakespeare", tmp_path / "data", source)
    prepare("tinyshakespeare", tmp_path / "data", source, size=len(text.encode()))
    reader = Reader("tinyshakespeare", label_key=None, data_dir=str(tmp_path / "data"))
    texts = [[x["text"] for x in reader.examples(split)] for split in ("train", "validation")]
    assert texts == [[text[: len(text) * 9 // 10]], [text[len(text) * 9 // 10 :]]]
    with pytest.raises(UserError, match="no feature 'label'"):
        Reader("tinyshakespeare", data_dir=str(tmp_path / "data"))


def test_what_is_published_of_shakespeare_is_prepared_and_has_65_characters(tmp_path):
    folder = os.environ.get("BIGMODEL_TEST_DATA")
    source = Path(folder or "", "tinyshakespeare.txt")
    if not folder or not source.is_file():
        pytest.skip("BIGMODEL_TEST_DATA is not set, or holds no tinyshakespeare.txt")
    assert hashlib.sha256(source.read_bytes()).hexdigest() == tinyshakespeare.Builder.SHA256
    prepare("tinyshakespeare", tmp_path, source)
    reader = Reader("tinyshakespeare", label_key=None, data_dir=str(tmp_path))
    texts = ["".join(x["text"] for x in reader.examples(s)) for s in ("train", "validation")]
    assert [len(t) for t in texts] == [1_003_854, 111_540] and len(set("".join(texts))) == 65
