"""Ratings: prepared, in folds, as rows of users; what is broken in them is said in a sentence."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bigmodel_jax.data.prepared import prepare
from bigmodel_jax.data.ratings import Source, load_known
from bigmodel_jax.data.readers.synthetic_ratings import Reader as Generated
from bigmodel_jax.data.readers.tfds_ratings import Reader
from bigmodel_jax.errors import UserError

# user, item, rating, time; the fold of each is its number modulo 5, plus 1.
ROWS = [
    (u, i, 1 + (u + i // 10) % 4, 100 - 10 * u - i) for u in range(1, 6) for i in (10, 20, 30, 40)
]
ROWS.append((4, 60, 5, 7))  # the only rating of item 60 is in fold 1


def published(path, **changed):
    """An archive like ml-100k.zip, with some of its files changed."""

    def lines(rows):
        return "".join("\t".join(map(str, row)) + "\n" for row in rows)

    files = {"u.data": lines(ROWS[::-1])}
    files["u.item"] = "".join(f"{i}|Film {i} é|01-Jan-1995||\n" for i in (10, 20, 30, 40, 60))
    for fold in range(5):
        files[f"u{fold + 1}.test"] = lines(ROWS[fold::5])
        files[f"u{fold + 1}.base"] = lines(r for i, r in enumerate(ROWS) if i % 5 != fold)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, **changed}.items():
            if text is not None:
                archive.writestr(f"ml-100k/{name}", text.encode("latin-1"))
    return path


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ratings")
    prepare("movielens_100k", folder, published(folder / "ml-100k.zip"), count=len(ROWS))
    return str(folder)


def open_source(data_dir, split="train", fold=1, train="base", **options):
    reader = {"name": "tfds_ratings", "dataset": "movielens_100k", "fold": fold}
    splits = {"train": train, "val": "base[50%:]", "test": "test"}
    given = {"reader": reader, "splits": splits, "batch_size": 3, "training": split == "train"}
    return Source(**{**given, **options}, split=split, data_dir=data_dir)


def held(source):
    """{(user, title, rating)} of all rows, and the histories by user, as the model gets them."""
    found, histories = [], {}
    for step in range(source.steps_per_epoch):
        batch = source.batch(step)
        for row in np.flatnonzero(batch["valid"]):
            user, mask = source.known.users[batch["user"][row]], batch["mask"][row]
            titles = source.known.items[batch["item"][row][mask]].tolist()
            found += [
                (user, *pair)
                for pair in zip(titles, batch["rating"][row][mask].tolist(), strict=True)
            ]
            past = batch["history"][row]
            histories[user] = source.known.items[past[past > 0]].tolist()
        assert not batch["mask"][~batch["valid"]].any() and not batch["user"][~batch["valid"]].any()
    return found, histories


def test_a_fold_is_what_was_published_and_each_rating_is_there_once_in_the_order_of_time(data_dir):
    source = open_source(data_dir, fold=2)
    found, histories = held(source)
    base = [row for i, row in enumerate(ROWS) if i % 5 != 1]
    assert sorted(found) == sorted((str(u), f"Film {i} é", float(r)) for u, i, r, _ in base)
    of_one = sorted((time, i) for u, i, _, time in base if u == 1)
    assert histories["1"] == [f"Film {i} é" for _, i in of_one] and len(of_one) == 3
    assert source.popularity[1:].sum() == len(base) and source.examples == 5
    test, past = held(open_source(data_dir, "test", fold=2))
    assert len(test) == len(ROWS) - len(base) and past["1"] == histories["1"]
    assert open_source(data_dir, fold=1).fingerprint != source.fingerprint


def test_rows_of_a_length_hold_the_same_ratings_and_whole_histories(data_dir):
    whole, cut = open_source(data_dir), open_source(data_dir, length=2)
    (found, histories), (parts, others) = held(whole), held(cut)
    assert sorted(parts) == sorted(found) and others == histories and cut.examples == 10
    assert cut.batch(0)["item"].shape == (3, 2)
    with pytest.raises(UserError, match="length is 0: ratings of a row"):
        open_source(data_dir, length=0)


def test_an_item_and_a_user_that_the_training_part_lacks_are_0(data_dir):
    source = open_source(data_dir, "test", batch_size=5)
    assert source.unknown["items"].size == 1 and not source.unknown["users"].size
    batch = source.batch(0)
    # Item 60 was rated before the other one of user 4.
    row = int(np.flatnonzero(source.known.users[batch["user"]] == "4")[0])
    assert batch["mask"][row].tolist() == [True, True] and batch["item"][row][0] == 0
    assert 60 not in [int(title.split()[1]) for title in source.known.items[1:]]
    few = open_source(data_dir, "test", train="base[:2]")
    assert len(few.known.users) <= 3 and few.unknown["users"].size >= 2
    assert (few.batch(0)["user"] == 0).any() and few.batch(0)["mask"].sum() > 0


def test_what_predictions_need_is_kept(data_dir, tmp_path):
    source = open_source(data_dir)
    source.save_assets(tmp_path)
    for kept, there in zip(load_known(tmp_path), source.known, strict=True):
        np.testing.assert_array_equal(kept, there)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"u.data": "1\t10\t3\n"}, r"u.data line 1: '1\\t10\\t3' is not a user, an item"),
        ({"u1.test": "1\t10\t6\t9\n"}, "u1.test line 1: .* a rating of 1 to 5"),
        ({"u.data": "1\t10\t3\t9\n"}, "u.data has 1 ratings, not the 21 published"),
        ({"u2.test": ""}, "u1.test to u5.test do not hold each rating of u.data once"),
        ({"u3.base": ""}, "u3.base is not what u3.test leaves"),
        ({"u.item": "10|Film|\n"}, "u.item has no title of item 20"),
        ({"u4.base": None}, "u4.base cannot be read.*--from is ml-100k.zip"),
    ],
)
def test_a_damaged_archive_is_one_clear_sentence_and_leaves_nothing(tmp_path, changed, said):
    source = published(tmp_path / "ml-100k.zip", **changed)
    with pytest.raises(UserError, match=said):
        prepare("movielens_100k", tmp_path / "data", source, count=len(ROWS))
    assert not list((tmp_path / "data").glob("movielens_100k"))


def test_a_rating_out_of_scale_a_fold_and_a_split_that_are_not_there_are_said(
    data_dir, monkeypatch
):
    with pytest.raises(UserError, match="has the folds 1 to 5, and no fold 6"):
        Generated(fold=6)
    with pytest.raises(UserError, match="each=50 and items=40"):
        Generated(items=40, each=50)
    with pytest.raises(UserError, match="no split 'tset'. Did you mean 'test'"):
        open_source(data_dir).check_split("tset")
    with pytest.raises(UserError, match="ratings have no texts, and so no hashes"):
        open_source(data_dir, train="base[hash :50%]")
    with pytest.raises(UserError, match="movielens_100k is not prepared in"):
        Reader("movielens_100k", data_dir=f"{data_dir}/nothing")
    monkeypatch.setattr(Reader, "scale", (1.0, 4.0))
    with pytest.raises(
        UserError, match="rating of 5, by user 4 of 'Film 60 é', out of the scale of 1 to 4"
    ):
        open_source(data_dir)


def test_generated_ratings_are_the_same_everywhere():
    whole = Generated(users=6, items=8, each=5).whole
    assert whole.item[:10].tolist() == [7, 5, 4, 2, 1, 2, 1, 7, 3, 5]
    assert whole.rating[:10].tolist() == [3, 5, 1, 5, 5, 5, 5, 3, 3, 4]
    assert all(len(set(items)) == 5 for items in whole.item.reshape(6, 5).tolist())


@pytest.mark.slow
def test_the_real_archive_has_five_folds_of_20_000(tmp_path):
    folder = os.environ.get("BIGMODEL_TEST_DATA")
    if not folder or not Path(folder, "ml-100k.zip").is_file():
        pytest.skip("BIGMODEL_TEST_DATA is not set, or holds no ml-100k.zip")
    prepare("movielens_100k", tmp_path, Path(folder, "ml-100k.zip"))
    for fold in range(1, 6):
        reader = Reader("movielens_100k", fold, data_dir=str(tmp_path))
        assert reader.splits == {"base": 80_000, "test": 20_000}
    assert len(reader.whole.user_names) == 943 and len(reader.whole.item_names) == 1682
