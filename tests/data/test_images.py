"""Images: every kind of file becomes the same pixels, whoever reads it; what is damaged is named."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from bigmodel_jax.data import pixels
from bigmodel_jax.data.image_sets import arrays
from bigmodel_jax.data.images import Source
from bigmodel_jax.errors import UserError
from bigmodel_jax.tasks import classify

SPLITS = dict(train="train[:75%]", val="train[75%:]", test="test")
NOISE = np.random.default_rng(0)


def encoded(image, form="PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def noise(mode="RGB", size=(12, 10)):
    depth = (3,) if mode == "RGB" else ()
    return Image.fromarray(NOISE.integers(0, 256, (size[1], size[0], *depth), np.uint8), mode)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight images of two classes, and two to test, in {train,test}/CLASS/NAME."""
    root = tmp_path_factory.mktemp("images") / "pets"
    for split, count in (("train", 4), ("test", 1)):
        for label in ("cat", "dog"):
            (root / split / label).mkdir(parents=True)
            for i in range(count):
                (root / split / label / f"{i}.png").write_bytes(encoded(noise()))
    return root


def source(path, tmp_path, **options):
    return Source(
        **{
            "reader": dict(name="image_files", path=str(path)),
            "splits": SPLITS,
            "image_size": 8,
            "batch_size": 4,
            "workers": 0,
            "data_dir": str(tmp_path),
            **options,
        }
    )


def test_every_kind_of_file_is_read_as_it_looks(recwarn):
    gray = Image.new("L", (4, 2), 100)
    colour = Image.new("RGB", (4, 2), (200, 100, 0))
    palette = colour.convert("P", palette=Image.Palette.ADAPTIVE)
    deep = Image.fromarray(np.full((2, 4), 100 * 257, np.uint16))
    cases = [
        (encoded(gray), 3, (100, 100, 100)),
        (encoded(deep), 1, (100,)),
        (encoded(palette), 3, (200, 100, 0)),
        (encoded(palette, transparency=bytes(256)), 3, (200, 100, 0)),
        (encoded(Image.new("LA", (4, 2), (100, 7))), 3, (100, 100, 100)),
        (encoded(Image.new("1", (4, 2), 1)), 1, (255,)),
        (encoded(colour.convert("RGBA")), 3, (200, 100, 0)),
        (encoded(colour.convert("CMYK"), "TIFF"), 3, (200, 100, 0)),
        (encoded(colour.convert("CMYK"), "JPEG"), 3, (200, 100, 0)),
        (encoded(Image.new("F", (4, 2), 100 / 255), "TIFF"), 1, (100,)),
        (np.full((2, 4, 1), 100, np.uint8), 3, (100, 100, 100)),
    ]
    for content, channels, expected in cases:
        found = pixels.to_array(pixels.decode(content, channels))
        np.testing.assert_array_equal(found, np.broadcast_to(np.uint8(expected), (2, 4, channels)))
    assert not recwarn.list


def test_what_is_no_whole_image_is_unreadable_and_says_why():
    jpeg = encoded(noise(), "JPEG")
    cases = {b"": "empty", b"a text": "no image", jpeg[: len(jpeg) // 2]: "[Tt]runcated"}
    for content, why in cases.items():
        with pytest.raises(pixels.Unreadable, match=why):
            pixels.decode(content, 3)


def test_an_image_is_turned_as_its_exif_says():
    image = Image.fromarray(np.arange(8, dtype=np.uint8).reshape(2, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise shows it upright
    found = pixels.to_array(pixels.decode(encoded(image, exif=exif), 1))[..., 0]
    np.testing.assert_array_equal(found, np.rot90(np.asarray(image), -1))


def test_a_folder_and_archives_of_it_give_the_same_pixels(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder.parent))
    with tarfile.open(tmp_path / "pets.tar", "w") as archive:
        archive.add(folder, "pets")
    batches = [
        source(path, tmp_path / "cache").batch(0)
        for path in (folder, tmp_path / "pets.zip", tmp_path / "pets.tar")
    ]
    for other in batches[1:]:
        jax.tree.map(np.testing.assert_array_equal, batches[0], other)


def test_pixels_are_a_function_of_seed_and_step_whoever_decodes_them(folder, tmp_path):
    crops = dict(
        transforms=(
            dict(name="random_resized_crop", size=8, scale=(0.3, 1.0)),
            dict(name="trivial_augment"),
            dict(name="random_erasing", probability=1.0),
        )
    )
    alone = source(folder, tmp_path, **crops)
    pool = source(folder, tmp_path, **crops, workers=2)
    halves = [source(folder, tmp_path, **crops, process=(i, 2)) for i in range(2)]
    for step in (5, 0):  # in any order
        batch = alone.batch(step)
        jax.tree.map(np.testing.assert_array_equal, batch, pool.batch(step))
        joined = jax.tree.map(lambda *x: np.concatenate(x), *(h.batch(step) for h in halves))
        jax.tree.map(np.testing.assert_array_equal, batch, joined)
    pool._decoder.close()
    assert (alone.batch(0)["image"] != alone.batch(2)["image"]).any()  # of another epoch


def test_resident_pixels_make_the_batches_of_the_host(folder, tmp_path):
    streamed = source(folder, tmp_path, stored=True, batch_size=4)
    resident = source(folder, tmp_path, stored=True, batch_size=4, resident=True)
    assemble = jax.jit(resident.assemble)
    for step in range(4):
        found = assemble(resident.store(), resident.batch(step))
        jax.tree.map(np.testing.assert_array_equal, streamed.batch(step), found)


def test_stored_pixels_are_those_decoded_each_time(folder, tmp_path):
    each = source(folder, tmp_path, training=False, split="test", crop=0.875)
    stored = source(folder, tmp_path, training=False, split="test", crop=0.875, stored=True)
    jax.tree.map(np.testing.assert_array_equal, each.batch(0), stored.batch(0))
    scaled = np.stack([each.images([i])[0] for i in range(2)]) / 255
    assert scaled.shape == (2, 8, 8, 3)


def test_the_model_sees_the_training_part_with_mean_zero_and_deviation_one(folder, tmp_path):
    train = source(folder, tmp_path, training=False)
    images = train.images(range(train.examples)) / 255
    info = source(folder, tmp_path, training=False, split="test").info
    np.testing.assert_allclose(info["mean"], images.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(info["std"], images.std((0, 1, 2)), atol=1e-6)


def test_damaged_images_are_named_and_left_out_up_to_a_limit(folder, tmp_path, capsys):
    root = tmp_path / "pets"
    for path in folder.rglob("*.png"):
        target = root / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    whole = (root / "train/cat/1.png").read_bytes()
    (root / "train/cat/1.png").write_bytes(whole[: len(whole) // 2])
    (root / "train/dog/x.jpg").write_bytes(b"not an image")
    found = source(root, tmp_path / "cache", splits=dict(train="train"))
    assert found.examples == 7  # of 9, with both damaged ones
    said = capsys.readouterr().out
    assert "2 images" in said and "cat/1.png" in said and "dog/x.jpg" in said
    with pytest.raises(UserError, match=r"2 images of pets train cannot be read .*cat/1\.png"):
        source(root, tmp_path / "cache", splits=dict(train="train"), max_unreadable=1)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train/cat/1.png": 1, "train/dog/1.png": 1, "test/cow/1.png": 1}, "the class 'cow'"),
        ({"train/cat/1.png": 1, "train/cat/2.png": 1}, "has the one class cat"),
        ({"train/cat/notes.txt": 1}, "holds no images"),
        ({"cat.png": 1, "dog.png": 1}, "lies in no class folder"),
        ({"test/cat/1.png": 1, "test/dog/1.png": 1}, "holds no folder train"),
        ({"../cat/1.png": 1, "dog/1.png": 1}, "points outside of it"),
        ({"/cat/1.png": 1, "dog/1.png": 1}, "points outside of it"),
    ],
)
def test_a_wrong_layout_is_one_sentence(files, message, tmp_path):
    image = encoded(noise())
    with (
        zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive,
        tarfile.open(tmp_path / "pets.tar", "w") as tape,
    ):
        for name in files:
            archive.writestr(zipfile.ZipInfo(name), image)
            member = tarfile.TarInfo(name)
            member.size = len(image)
            tape.addfile(member, io.BytesIO(image))
    for name in ("pets.zip", "pets.tar"):
        with pytest.raises(UserError, match=message):
            source(tmp_path / name, tmp_path)


def test_without_labels_images_lie_anywhere_and_no_task_can_tell_them_apart(tmp_path):
    for name in ("shelf/1.png", "shelf/box/old/2.png", "3.png", "train/4.png"):
        path = tmp_path / "attic" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise()))
    reader = dict(name="image_files", path=str(tmp_path / "attic"), labelled=False)
    made = source(None, tmp_path / "cache", reader=reader, splits=dict(train="train"))
    batch = made.batch(0)
    assert batch["valid"].sum() == made.examples == 4 and not batch["label"].any()
    assert "num_classes" not in made.info
    with pytest.raises(UserError, match=r"target is 'nothing', .*take dict\(name='mae'\)"):
        classify.Task(None).check(made)
    with pytest.raises(UserError, match="3.png lies in no class folder. To pretrain without"):
        source(tmp_path / "attic", tmp_path / "cache")


def test_an_image_damaged_within_an_archive_is_left_out_like_any_other(folder, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for path in sorted((folder / "train").rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    content = bytearray((tmp_path / "pets.zip").read_bytes())
    content[content.find(b"IDAT") + 6] ^= 255
    (tmp_path / "pets.zip").write_bytes(content)
    found = source(tmp_path / "pets.zip", tmp_path, splits=dict(train="train"))
    assert (
        found.examples == 7 and "pets.zip: train/cat/0.png: BadZipFile" in capsys.readouterr().out
    )


def test_labels_out_of_range_are_refused(tmp_path, monkeypatch):
    images, labels = NOISE.integers(0, 256, (12, 8, 8), np.uint8), np.arange(12) % 3
    np.savez(tmp_path / "a.npz", images=images, labels=np.where(labels, labels, 2**40))
    with pytest.raises(UserError, match="12 images, and a label 1,099,511,627,776; labels number"):
        source(tmp_path / "a.npz", tmp_path, channels=1)
    np.savez(tmp_path / "b.npz", images=images, labels=labels)

    class Mislabelled(arrays.Set):
        def __init__(self, path):
            super().__init__(path)
            self.label_names = ("0", "1")

    monkeypatch.setattr(arrays, "Set", Mislabelled)
    with pytest.raises(UserError, match="4 images of b train have labels such as 2, .* 0 to 1"):
        source(tmp_path / "b.npz", tmp_path, channels=1, splits=dict(train="train"))


def test_arrays_are_read_as_they_are_published(tmp_path):
    images, labels = NOISE.integers(0, 256, (12, 8, 8), np.uint8), np.arange(12) % 3
    np.savez(
        tmp_path / "a.npz",
        x_train=images,
        y_train=labels[:, None],
        x_test=images[:3],
        y_test=labels[:3],
    )
    found = source(tmp_path / "a.npz", tmp_path, channels=1, training=False, split="test")
    assert found.label_names == ("0", "1", "2")
    by_label = {
        int(y): x for x, y in zip(found.batch(0)["image"], found.batch(0)["label"], strict=True)
    }
    np.testing.assert_array_equal(by_label[2][..., 0], images[2])
    np.savez(tmp_path / "b.npz", images=images / 255, labels=labels)
    with pytest.raises(UserError, match="float64.*must be uint8"):
        source(tmp_path / "b.npz", tmp_path)
    np.savez(tmp_path / "c.npz", images=images, labels=labels - 1)
    with pytest.raises(UserError, match="0 or more"):
        source(tmp_path / "c.npz", tmp_path)


def test_an_idx_file_cut_short_is_refused(tmp_path):
    def idx(array):
        header = bytes((0, 0, 8, array.ndim))
        return header + np.array(array.shape, ">u4").tobytes() + array.tobytes()

    images, labels = NOISE.integers(0, 256, (8, 8, 8), np.uint8), np.arange(8, dtype=np.uint8) % 2
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    found = source(tmp_path, tmp_path, channels=1, training=False)
    assert found.examples == 6
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images)[:-1])
    with pytest.raises(UserError, match="holds 511: it is cut short"):
        source(tmp_path, tmp_path, channels=1)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images[:7]))
    with pytest.raises(UserError, match="has 7 images, .* has 8 labels"):
        source(tmp_path, tmp_path, channels=1)


def test_tables_name_files_or_hold_bytes(folder, tmp_path):
    files = sorted((folder / "train").rglob("*.png"))
    rows = [{"image": str(p), "label": p.parent.name} for p in files]
    (tmp_path / "pets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    held = [{**row, "image": {"bytes": Path(row["image"]).read_bytes()}} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(held), tmp_path / "pets.parquet")
    splits = dict(splits=dict(train="train"))
    expected = source(folder, tmp_path / "cache", **splits).batch(0)
    for name in ("pets.jsonl", "pets.parquet"):
        found = source(tmp_path / name, tmp_path / "cache", **splits)
        jax.tree.map(np.testing.assert_array_equal, expected, found.batch(0))
    (tmp_path / "pets.jsonl").write_text('{"image": "no.png", "label": "cat"}\n' * 2)
    with pytest.raises(UserError, match="have the label 'cat'"):
        source(tmp_path / "pets.jsonl", tmp_path / "cache")
    with pytest.raises(UserError, match=r"no column 'picture'.*--config.data.image_column"):
        reader = dict(
            name="image_files", path=str(tmp_path / "pets.parquet"), image_column="picture"
        )
        source(folder, tmp_path, reader=reader)
