"""Token files: the same bytes however they are made, and a clear word on one that is not whole."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from bigmodel_jax.data import corpora, plain_text, token_files, tokenizing
from bigmodel_jax.data.corpora import Files, Readings
from bigmodel_jax.data.tokenizers.characters import Tokenizer as Characters
from bigmodel_jax.data.tokenizers.raw import Tokenizer as Raw
from bigmodel_jax.errors import UserError

LINES = [f"line {i} of the text, and so on\n" + "\n" * (i % 7 == 0) for i in range(200)]


@pytest.fixture
def tokenizer():
    made = Raw(vocabulary_size=280)
    made.train(iter(LINES))
    return made


def jsonl(texts) -> str:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def text_of(file, i) -> str:
    return file.tokenizer.decode(file.tokens[file.documents[i] : file.documents[i + 1]])


def made(tmp_path, tokenizer, name="out", **files):
    """The token file of files with these contents."""
    for stem, content in files.items():
        path = tmp_path / "corpus" / stem.replace("__", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    tokenizing.tokenize(Files([str(tmp_path / "corpus")]), "train", tokenizer, tmp_path / name)
    return token_files.open_file(tmp_path / name)


def test_documents_of_all_kinds_of_files_come_back_as_they_are(tmp_path, tokenizer):
    import pyarrow
    import pyarrow.parquet

    (tmp_path / "corpus").mkdir()
    table = pyarrow.table({"text": ["from Parquet", "é 我"]})
    pyarrow.parquet.write_table(table, tmp_path / "corpus" / "e.parquet")
    pyarrow.output_stream(str(tmp_path / "corpus" / "d.jsonl.zst"), compression="zstd").write(
        jsonl(["Z\n"]).encode()
    )
    found = made(
        tmp_path,
        tokenizer,
        a__txt="  Plain\r\n\ttext \n\n",
        b__jsonl=jsonl(["one", "two\n"]),
        c__txt__gz=gzip.compress(b"packed"),
    )
    expected = ["  Plain\r\n\ttext \n\n", "one", "two\n", "packed", "Z\n", "from Parquet", "é 我"]
    assert [text_of(found, i) for i in range(len(found.documents) - 1)] == expected
    assert found.bytes.tolist() == [len(text.encode()) for text in expected]
    ends = found.tokens[found.documents - 1]
    assert (ends == tokenizer.separator).all() and found.tokens.dtype == np.uint16


def test_empty_documents_are_skipped_and_counted_and_keep_their_places(tmp_path, tokenizer):
    found = made(tmp_path, tokenizer, a__jsonl=jsonl(["one", "", " \n", "two"]))
    assert found.meta["empty"] == 2 and np.diff(found.documents)[1:3].tolist() == [0, 0]
    assert text_of(found, 3) == "two"
    with pytest.raises(UserError, match="all of its documents are empty"):
        made(tmp_path, tokenizer, "none", a__jsonl=jsonl(["", " "]))
    with pytest.raises(UserError, match="all of its documents are empty"):
        made(tmp_path, tokenizer, "no byte", a__txt="")


@pytest.mark.parametrize("shard", [97, 700, 1 << 24])
def test_large_files_are_cut_between_pieces_and_come_back_whole(
    tmp_path, tokenizer, monkeypatch, shard
):
    monkeypatch.setattr(corpora, "SHARD", shard)
    monkeypatch.setattr(plain_text, "BLOCK", 50)
    text = "".join(LINES)
    found = made(tmp_path, tokenizer, a__txt=text, b__jsonl=jsonl([*LINES, ""] * 2), c__txt="end")
    assert len(found.documents) == 1 + 1 + 2 * len(LINES) + 2 + 1
    assert found.tokens[1 : found.documents[1] - 1].tolist() == tokenizer.encode(text).tolist()
    assert [text_of(found, i + 1) for i in range(200)] == LINES
    assert found.bytes[0] == len(text) and found.meta["empty"] == 2
    shards = Files([str(tmp_path / "corpus")]).shards("train")
    assert len(shards) > 20 or shard > 500


def test_a_document_beside_line_ends_of_windows_or_without_any_comes_back(
    tmp_path, tokenizer, monkeypatch
):
    monkeypatch.setattr(corpora, "SHARD", 64)
    monkeypatch.setattr(plain_text, "BLOCK", 10)
    monkeypatch.setattr(plain_text, "LONG", 40)
    texts = ["a b\r\n" * 60, "é" * 300, "\n" * 200 + "x"]
    found = made(tmp_path, tokenizer, a__txt=texts[0], b__txt=texts[1], c__txt=texts[2])
    assert [text_of(found, i) for i in range(3)] == texts


def test_a_reader_is_a_corpus_in_its_own_order(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(corpora, "EXAMPLES", 7)
    corpus = Readings(dict(name="synthetic_reviews", train_size=20, test_size=5), "")
    tokenizing.tokenize(corpus, "train", tokenizer, tmp_path / "out")
    found = token_files.open_file(tmp_path / "out")
    assert [text_of(found, i) for i in range(20)] == list(corpus.texts("train"))


def test_any_number_of_workers_makes_the_same_bytes(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(corpora, "SHARD", 1000)
    one = made(tmp_path, tokenizer, a__txt="".join(LINES), b__jsonl=jsonl(LINES))
    corpus = Files([str(tmp_path / "corpus")])
    tokenizing.tokenize(corpus, "train", tokenizer, tmp_path / "two", workers=2)
    assert contents(one.folder) == contents(tmp_path / "two")
    assert sorted(os.listdir(tmp_path)) == ["corpus", "out", "two"]


def test_what_is_finished_survives_a_kill_and_nothing_of_another_corpus_does(
    tmp_path, tokenizer, monkeypatch
):
    monkeypatch.setattr(corpora, "SHARD", 1000)
    expected = contents(made(tmp_path, tokenizer, a__txt="".join(LINES)).folder)
    real, done = tokenizing.encode, []

    def dying(pieces, tokenizer):
        done.append(1)
        if len(done) == 4:
            raise KeyboardInterrupt
        return real(pieces, tokenizer)

    monkeypatch.setattr(tokenizing, "encode", dying)
    corpus = Files([str(tmp_path / "corpus")])
    with pytest.raises(KeyboardInterrupt):
        tokenizing.tokenize(corpus, "train", tokenizer, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert len(list((tmp_path / "again.unfinished").glob("shard*.npz"))) == 3
    tokenizing.tokenize(corpus, "train", tokenizer, tmp_path / "again")
    assert len(done) == len(corpus.shards("train")) + 1
    assert contents(tmp_path / "again") == expected and not (tmp_path / "again.unfinished").exists()

    done[:] = [1] * 2
    with pytest.raises(KeyboardInterrupt):
        tokenizing.tokenize(corpus, "train", tokenizer, tmp_path / "changed")
    changed = made(tmp_path, tokenizer, "changed", a__txt="another text, and a shorter one")
    assert text_of(changed, 0) == "another text, and a shorter one"


def test_text_that_is_not_utf8_is_named_by_its_byte(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(plain_text, "BLOCK", 8)
    with pytest.raises(UserError, match=r"a.txt is not UTF-8: byte 0xff at byte 21 of the file"):
        made(tmp_path, tokenizer, a__txt=b"0123456789 ok\n \xc3\xa9 yes\xff no")
    with pytest.raises(UserError, match=r"a.txt is not UTF-8: byte 0xc3 at byte 3"):
        made(tmp_path, tokenizer, a__txt=b"cut\xc3")
    with pytest.raises(UserError, match=r"a.jsonl line 1 is not UTF-8"):
        made(tmp_path, tokenizer, a__txt="fine", a__jsonl=b'{"text": "\xff"}\n')
    with pytest.raises(UserError, match="line 1 holds half of a character"):
        made(tmp_path, tokenizer, a__jsonl='{"text": "\\ud800"}\n')
    with pytest.raises(
        UserError, match="line 1 has no 'text'. There are: body. Name it with text_col"
    ):
        made(tmp_path, tokenizer, a__jsonl='{"body": "x"}\n')


def test_a_character_that_the_tokenizer_does_not_know_is_named_with_its_file(tmp_path):
    tokenizer = Characters()
    tokenizer.train(iter(["abc"]))
    with pytest.raises(UserError, match=r"a.txt: The character 'd' is not among the 3"):
        made(tmp_path, tokenizer, a__txt="abcd")


def test_an_id_beyond_the_vocabulary_is_not_written(tmp_path, tokenizer):
    tokenizer.vocabulary_size = 270
    with pytest.raises(UserError, match=r"the token id 27\d is outside the vocabulary of 270"):
        made(tmp_path, tokenizer, a__txt="".join(LINES))


def test_large_vocabularies_take_four_bytes():
    assert (
        token_files.dtype_of(1 << 16).itemsize == 2
        and token_files.dtype_of((1 << 16) + 1).itemsize == 4
    )


def cut_short(folder):
    (folder / "tokens.bin").write_bytes((folder / "tokens.bin").read_bytes()[:-2])


def flip(folder):
    raw = bytearray((folder / "tokens.bin").read_bytes())
    raw[10] ^= 1
    (folder / "tokens.bin").write_bytes(raw)


def short_index(folder):
    np.save(folder / "documents.npy", np.load(folder / "documents.npy")[:-1])


def torn_index(folder):
    (folder / "documents.npy").write_bytes((folder / "documents.npy").read_bytes()[:50])


def no_index(folder):
    (folder / "bytes.npy").unlink()


def other_tokenizer(folder):
    tokenizer = Raw(vocabulary_size=270)
    tokenizer.train(iter(["other"]))
    tokenizer.save(folder)


def no_meta(folder):
    (folder / "meta.json").unlink()


def torn_meta(folder):
    (folder / "meta.json").write_text("{")


def future_meta(folder):
    (folder / "meta.json").write_text('{"version": 99}')


@pytest.mark.parametrize(
    "damage, complaint",
    [
        (cut_short, "tokens.bin has .* bytes in place of .*: it was cut short"),
        (flip, "tokens.bin was changed since it was written"),
        (short_index, "index of .* cut short or does not fit"),
        (torn_index, "index of .* cut short or does not fit"),
        (no_index, "index of .* cut short or does not fit"),
        (other_tokenizer, "is not the tokenizer that its token file was made with"),
        (no_meta, "is no token file"),
        (torn_meta, "meta.json is torn"),
        (future_meta, "is of format 99"),
    ],
)
def test_a_damaged_token_file_is_refused(tmp_path, tokenizer, damage, complaint):
    folder = made(tmp_path, tokenizer, a__txt="".join(LINES)).folder
    damage(folder)
    with pytest.raises(UserError, match=complaint):
        token_files.open_file(folder)


def test_ids_of_a_file_too_large_to_be_hashed_are_looked_at(tmp_path, tokenizer, monkeypatch):
    folder = made(tmp_path, tokenizer, a__txt="".join(LINES) * 50).folder
    monkeypatch.setattr(token_files, "HASHED", 100)
    monkeypatch.setattr(token_files, "BLOCK", 64)
    token_files.open_file(folder)
    tokens = np.fromfile(folder / "tokens.bin", "<u2")
    tokens[-5] = 60_000
    tokens.tofile(folder / "tokens.bin")
    with pytest.raises(UserError, match="token id 60000 is outside the vocabulary of 2"):
        token_files.open_file(folder)


def test_a_corpus_that_changed_since_stops_and_a_copy_or_an_absent_one_does_not(
    tmp_path, tokenizer
):
    folder = made(tmp_path, tokenizer, a__txt="".join(LINES)).folder
    source = tmp_path / "corpus" / "a.txt"
    os.utime(source, ns=(1, 1))
    token_files.open_file(folder)
    source.write_text("".join(LINES).replace("line 3", "line 4"))
    with pytest.raises(UserError, match=r"a.txt has changed since it was tokenised into .*out"):
        token_files.open_file(folder)
    source.unlink()
    token_files.open_file(folder)
