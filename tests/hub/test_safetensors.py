"""The reader of safetensors against the package's own, and against files that are damaged."""

import json

import ml_dtypes
import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.hub.safetensors import File, Writer, open_folder

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.arange(4, dtype=np.float16),
    "c": np.arange(5).astype(ml_dtypes.bfloat16),
    "ids": np.arange(3, dtype=np.int64),
    "one": np.array(7.0, np.float32),
    "none": np.zeros((0, 4), np.float32),
}


def write(path, arrays=ARRAYS):
    writer = Writer(path, {name: (x.dtype, x.shape) for name, x in arrays.items()})
    writer.write(arrays.values())
    writer.close()
    return path


def same(got, want):
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert got.tobytes() == want.tobytes()


def test_what_is_written_is_read_by_us_and_by_the_package(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    path = write(tmp_path / "x.safetensors")
    ours, theirs = File(path), safetensors.load_file(path)
    assert set(ours.entries) == set(theirs) == set(ARRAYS)
    for name, want in ARRAYS.items():
        same(ours.view(name), want)
        got = theirs[name]
        assert got.double().numpy().tolist() == want.astype(np.float64).tolist()


def test_what_the_package_writes_is_read_by_us(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = {name: x for name, x in ARRAYS.items() if name != "c"}
    safetensors.save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "np"})
    file = File(tmp_path / "x.safetensors")
    for name, want in arrays.items():
        same(file.view(name), want)


def rewritten(path, change):
    """The file with its header changed by `change(table)`, its data as they are."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + length])
    text = change(table)
    text = (text if isinstance(text, str) else json.dumps(table)).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def of(name, field, value):
    return lambda table: table[name].update({field: value})


DAMAGED = {
    "the shape is another": (of("b", "shape", [3, 3]), "24 bytes, and its shape"),
    "two overlap": (of("a", "data_offsets", [20, 28]), "a overlaps"),
    "there is a gap": (of("ids", "data_offsets", [48, 72]), "ids has a gap before it"),
    "an offset is negative": (of("a", "data_offsets", [-8, 0]), "has the offsets"),
    "an offset is no number": (of("a", "data_offsets", [True, 8]), "has the offsets"),
    "offsets are far behind the end": (
        of("a", "data_offsets", [2**40, 2**40 + 8]),
        "has a gap before it",
    ),
    "the dtype is unknown": (of("b", "dtype", "F13"), "has the dtype 'F13'"),
    "a shape is of floats": (of("b", "shape", [2.0, 3]), "has the shape"),
    "a shape overflows": (of("b", "shape", [2**40, 2**40, 2**40]), "take"),
    "a field is missing": (lambda t: t["b"].pop("dtype") and None, "not the fields of a tensor"),
    "an entry is no table": (lambda t: t.update(b=3), "b is no table"),
    "a name comes twice": (
        lambda t: json.dumps(t).replace('"one":', '"b":'),
        "'b' comes twice",
    ),
    "it is no JSON": (lambda t: "{" * 50_000, "is no JSON"),
    "it is a list": (lambda t: "[]", "no table of tensors"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_header_is_one_sentence(what, tmp_path):
    change, words = DAMAGED[what]
    path = write(tmp_path / "x.safetensors")
    rewritten(path, change)
    with pytest.raises(UserError) as found:
        File(path)
    assert words in str(found.value)
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)


def test_a_file_is_read_whole_or_not_at_all(tmp_path):
    path = write(tmp_path / "x.safetensors")
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(UserError):
            File(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(UserError, match="1 bytes behind its last tensor"):
        File(path)
    path.write_bytes((10**12).to_bytes(8, "little") + content[8:])
    with pytest.raises(UserError, match="its header is of 1,000,000,000,000 bytes"):
        File(path)


def test_no_damage_crashes_the_reader(tmp_path):
    hypothesis = pytest.importorskip("hypothesis")
    st = pytest.importorskip("hypothesis.strategies")
    path = write(tmp_path / "x.safetensors")
    content = path.read_bytes()
    changes = st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)

    @hypothesis.settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @hypothesis.given(changes, st.integers(0, len(content)), st.binary(max_size=40))
    def read(changes, size, more):
        damaged = bytearray(content)
        for place, value in changes:
            damaged[place] = value
        path.write_bytes(bytes(damaged[:size]) + more)
        try:
            file = File(path)
        except UserError:
            return
        for name, entry in file.entries.items():
            assert file.view(name).nbytes == entry.size

    read()


def shards(folder, places, arrays=ARRAYS):
    """A folder of two files, and an index that says `places`."""
    names = list(arrays)
    write(folder / "one.safetensors", {n: arrays[n] for n in names[:3]})
    write(folder / "two.safetensors", {n: arrays[n] for n in names[3:]})
    content = json.dumps({"metadata": {}, "weight_map": places})
    (folder / "model.safetensors.index.json").write_text(content)


RIGHT = {name: "one.safetensors" if i < 3 else "two.safetensors" for i, name in enumerate(ARRAYS)}


def test_the_tensors_of_several_files_are_found(tmp_path):
    shards(tmp_path, RIGHT)
    files = open_folder(tmp_path)
    assert {name: file.path.name for name, file in files.items()} == RIGHT


INDICES = {
    "names a missing file": (
        {**RIGHT, "x": "three.safetensors"},
        "three.safetensors, which is not",
    ),
    "names a missing tensor": ({**RIGHT, "x": "one.safetensors"}, "says that x is in one"),
    "leaves one out": (
        {k: v for k, v in RIGHT.items() if k != "ids"},
        "holds ids, which is nowhere",
    ),
    "leads out of the folder": ({**RIGHT, "a": "../one.safetensors"}, "'../one.safetensors'"),
    "leads to the root": ({**RIGHT, "a": "/etc/x.safetensors"}, "no file beside it"),
    "names a pickle": ({**RIGHT, "a": "pytorch_model.bin"}, "no file beside it"),
    "names nothing": ({}, 'no "weight_map"'),
    "names no text": ({**RIGHT, "a": 3}, "no file beside it"),
}


@pytest.mark.parametrize("what", INDICES)
def test_a_wrong_index_is_one_sentence(what, tmp_path):
    places, words = INDICES[what]
    shards(tmp_path, places)
    with pytest.raises(UserError) as found:
        open_folder(tmp_path)
    assert words in str(found.value)
    assert "\n" not in str(found.value)


def test_a_pickle_is_never_opened(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match=r"pytorch_model\.bin is a pickle"):
        open_folder(tmp_path)
