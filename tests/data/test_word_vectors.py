"""Files of word vectors as they are published, and as they are broken."""

import gzip

import jax
import numpy as np
import pytest

from bigmodel_jax.data.word_vectors import load, start_from
from bigmodel_jax.errors import UserError

LINES = ["the 1 2 3", "film 0.5 -0.25 1e-3", ". . . 4 5 6", "the 7 7 7", "café -1 -2 -3"]
WORDS = ["<padding>", "film", "absent", "café", "the", ". . ."]


def write(path, lines, end="\n"):
    path.write_text("".join(line + end for line in lines), encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("form", ["glove", "word2vec", "packed", "windows", "trailing spaces"])
def test_the_vectors_of_the_words_that_there_are(form, tmp_path):
    path = tmp_path / "vectors.txt"
    lines = [f"{len(LINES)} 3", *LINES] if form == "word2vec" else LINES
    write(path, lines, {"windows": "\r\n", "trailing spaces": " \n"}.get(form, "\n"))
    if form == "packed":
        path.write_bytes(gzip.compress(path.read_bytes()))
    rows, vectors = load(path, WORDS)
    assert rows.dtype.kind == "i" and vectors.dtype == np.float32
    assert [WORDS[i] for i in rows] == ["film", "café", "the", ". . ."]
    want = [[0.5, -0.25, 1e-3], [-1, -2, -3], [1, 2, 3], [4, 5, 6]]  # the first "the"
    np.testing.assert_array_equal(vectors, np.array(want, np.float32))


def test_it_reads_no_further_than_the_last_word_it_needs(tmp_path):
    path = write(tmp_path / "vectors.txt", [*LINES, "broken 1"])
    np.testing.assert_array_equal(load(path, ["film"])[0], [0])
    with pytest.raises(UserError, match="line 6"):
        load(path, ["film", "absent"])


@pytest.mark.parametrize(
    "lines, message",
    [
        (["the 1 2 3", "film 1 2"], "line 2: 2 values after the word where the first line has 3"),
        (["the 1 2 3", "a 1 2 3", "film 1 2 3 4"], "line 3: 4 values"),
        (["the 1 2 3", "", "film 1 2 3"], "line 2: 0 values"),
        (["the 1 2 3", "film 1 two 3"], "line 2: a value is not a finite number"),
        (["the 1 2 3", "film 1 nan 3"], "line 2: a value is not a finite number"),
        (["4 3", "the 1 2 3", "film 1 2 3"], "says that it has 4 words and has 2"),
        (["the 1 2 3"], "none of the vocabulary's 2 words, such as 'absent', 'film'"),
        (["nonsense"], "is not a file of word vectors"),
    ],
)
def test_a_broken_file_is_told_with_its_line(lines, message, tmp_path):
    path = write(tmp_path / "vectors.txt", lines)
    with pytest.raises(UserError, match=message) as error:
        load(path, ["absent", "film"])
    assert str(path) in str(error.value)


def test_what_is_no_such_file_is_told(tmp_path):
    with pytest.raises(UserError, match="There is no file of word vectors"):
        load(tmp_path / "missing.txt", WORDS)
    with pytest.raises(UserError, match="There is no file of word vectors"):
        load(tmp_path, WORDS)
    (tmp_path / "empty.txt").write_bytes(b"")
    with pytest.raises(UserError, match="for none of"):
        load(tmp_path / "empty.txt", WORDS)
    (tmp_path / "glove.zip").write_bytes(b"PK\x03\x04...")
    with pytest.raises(UserError, match="zip archive: unpack it"):
        load(tmp_path / "glove.zip", WORDS)
    whole = gzip.compress("\n".join(LINES).encode())
    (tmp_path / "cut.gz").write_bytes(whole[:-12])
    with pytest.raises(UserError, match="damaged or cut short"):
        load(tmp_path / "cut.gz", WORDS)


@pytest.mark.parametrize("axes", [(None, None), ("x", None), (None, "x")])
def test_an_embedding_starts_from_the_vectors_where_it_lies(axes, tmp_path):
    path = write(tmp_path / "v.txt", ["b 1 2 3 4", "d 5 6 7 8"])
    mesh = jax.make_mesh((min(2, len(jax.devices())),), ("x",))
    sharding = jax.NamedSharding(mesh, jax.P(*axes))
    table = jax.device_put(np.full((4, 4), 9, np.float32), sharding)
    params = {"embed": {"embedding": table}, "head": {"kernel": table}}
    got = start_from(path, list("abcd"), {"params": params})["params"]
    assert got["head"]["kernel"] is table
    filled = got["embed"]["embedding"]
    assert filled.sharding.is_equivalent_to(sharding, 2)
    np.testing.assert_array_equal(filled, [[9] * 4, [1, 2, 3, 4], [9] * 4, [5, 6, 7, 8]])
