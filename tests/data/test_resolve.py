"""Which candidate a run gets, and what is said when it is not the first."""

import time

import pytest

from bigmodel_jax.data import prepared
from bigmodel_jax.data import resolve as resolving
from bigmodel_jax.data.resolve import resolve
from bigmodel_jax.errors import UserError

IMDB = {"name": "tfds", "dataset": "imdb_reviews"}
SYNTHETIC = {"name": "synthetic_reviews", "train_size": 10, "test_size": 5}


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(resolving, "probe", lambda url: "no answer from there within 3 s")


def choose(*candidates, data_dir, strict=False, num_processes=1):
    return resolve(candidates, data_dir=str(data_dir), strict=strict, num_processes=num_processes)


def own_files(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("a\tone\nb\ttwo\n")
    return {"name": "files", "path": str(path)}


def test_what_is_there_is_taken(tmp_path, offline):
    mine = own_files(tmp_path)
    chosen = choose(mine, SYNTHETIC, data_dir=tmp_path)
    assert chosen.spec == mine and chosen.reader.name == "mine" and chosen.substitute is None


def test_generated_data_stand_in_and_are_announced(tmp_path, offline):
    chosen = choose(IMDB, SYNTHETIC, data_dir=tmp_path)
    assert chosen.spec == SYNTHETIC and chosen.reader.synthetic
    for part in (
        f"imdb_reviews is neither prepared in {tmp_path} nor downloadable (no answer",
        "training on synthetic_reviews instead, which is generated and is not imdb_reviews.",
        f"`python -m bigmodel_jax.prepare imdb_reviews --from=PATH --data_dir={tmp_path}`",
        "aclImdb_v1.tar.gz",
    ):
        assert part in (chosen.substitute or "")


@pytest.mark.parametrize("options", [{"strict": True}, {"num_processes": 2}])
def test_strict_and_distributed_runs_stop_with_the_ways_to_get_the_data(tmp_path, offline, options):
    start = time.monotonic()
    with pytest.raises(UserError, match="--from=PATH") as caught:
        choose(IMDB, SYNTHETIC, data_dir=tmp_path, **options)
    assert time.monotonic() - start < 5
    assert "synthetic" not in str(caught.value)


@pytest.mark.parametrize("options", [{"strict": True}, {"num_processes": 2}])
def test_generated_data_that_the_config_asks_for_first_are_no_substitute(tmp_path, options):
    assert choose(SYNTHETIC, data_dir=tmp_path, **options).substitute is None


def test_a_real_data_set_may_stand_in_for_another(tmp_path, offline):
    chosen = choose(IMDB, own_files(tmp_path), SYNTHETIC, data_dir=tmp_path, strict=True)
    assert chosen.reader.name == "mine"
    assert "training on mine instead." in (chosen.substitute or "")


def test_with_a_network_it_is_prepared_first(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(resolving, "probe", lambda url: None)
    monkeypatch.setattr(prepared, "prepare", lambda *args: calls.append(args))
    with pytest.raises(UserError):  # the pretended preparation made nothing
        choose(IMDB, SYNTHETIC, data_dir=tmp_path)
    assert calls == [("imdb_reviews", str(tmp_path))]


def test_faulty_files_are_an_error_not_a_reason_to_go_on(tmp_path, offline):
    mine = own_files(tmp_path)
    (tmp_path / "mine.txt").write_text("no tab")
    with pytest.raises(UserError, match="line 1 has no tab"):
        choose(mine, SYNTHETIC, data_dir=tmp_path)


def test_what_is_wrong_in_the_config_is_an_error(tmp_path, offline):
    with pytest.raises(UserError, match="names no data"):
        choose(data_dir=tmp_path)
    with pytest.raises(UserError, match="Did you mean 'path'"):
        choose({"name": "files", "pth": "x"}, SYNTHETIC, data_dir=tmp_path)
    with pytest.raises(UserError, match="no file or folder"):
        choose({"name": "files", "path": str(tmp_path / "x")}, data_dir=tmp_path)
    with pytest.raises(UserError, match="Did you mean 'imdb_reviews'"):
        choose({"name": "tfds", "dataset": "imdb_review"}, data_dir=tmp_path)
