"""Bad input stops early with one clear sentence, and nothing that was saved is lost."""

import copy
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import PartitionSpec as P

from bigmodel_jax import checkpoint, rundir
from bigmodel_jax.apply import load_run
from bigmodel_jax.config import parse_arg
from bigmodel_jax.data import resolve
from bigmodel_jax.errors import UserError
from bigmodel_jax.evaluate import evaluate
from bigmodel_jax.train import train
from configs import imdb, own_text
from tests.laws.harness import saved_arrays

ROOT = Path(__file__).resolve().parent.parent


def command(module, *args):
    """(exit code, standard error) of a command."""
    done = subprocess.run(
        [sys.executable, "-m", f"bigmodel_jax.{module}", *args],
        env={**os.environ, "BIGMODEL_ALLOCATOR": "default"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


def tiny(**changes):
    """A tiny LSTM on generated reviews for two steps, with changes by dotted key."""
    config = imdb.get_config("lstm,tiny").to_dict()
    config["data"] |= {
        "candidates": ({"name": "synthetic_reviews", "train_size": 320, "test_size": 96},),
        "batch_size": 16,
    }
    config["model"] = {"name": "lstm", "width": 16, "hidden": 8}
    config["optimizer"] = {"name": "adam", "lr": 2e-3}
    config.update(duration="2 steps", log_every="1 steps", evals={}, early_stopping={})
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = config
        for name in parents:
            place = place[name]
        place[last] = value
    return config


@pytest.fixture(scope="module")
def saved(tmp_path_factory, data_dir):
    """A run of two steps, with a checkpoint."""
    workdir = tmp_path_factory.mktemp("runs") / "saved"
    train(tiny(), str(workdir), data_dir=data_dir)
    return workdir


MISTYPED = {
    "a config key": (["--config.model.widht=3"], ["widht", "width"]),
    "a flag": (["--wrokdir=x"], ["wrokdir", "workdir"]),
    "a wrong type": (["--config.seed=many"], ["seed", "many"]),
    "a flag without --": (["workdir=x"], ["Unexpected argument", "workdir=x"]),
    "a variant": (["--config=configs/imdb.py:lstmm"], ["lstmm", "Did you mean 'lstm'"]),
    "a value of a key that the config leaves out": (
        ["--config.model.bidirectional=2"],
        ["true or"],
    ),
    "a key that is like no other": (["--config.zzz.x=3"], ["no key 'zzz'"]),
    "an index": (["--config.data.candidates[7].name=x"], ["out of range"]),
    "a config file": (["--config=configs/imbd.py"], ["configs/imbd.py", "There are:", "imdb.py"]),
    "no config": (["--config="], ["configs/imdb.py"]),
}


@pytest.mark.parametrize("what", MISTYPED)
def test_a_mistyped_command_line_names_the_nearest_that_is_right(what):
    args, expected = MISTYPED[what]
    if not args[0].startswith("--config="):
        args = ["--config=configs/imdb.py:lstm,tiny", *args]
    code, said = command("main", *args)
    assert code != 0
    assert "Traceback" not in said
    line = said.strip().splitlines()[-1]
    assert all(part in line for part in ["error: ", *expected]), said


def test_debug_shows_the_traceback():
    code, said = command(
        "main", "--config=configs/imdb.py:tiny", "--config.model.widht=3", "--debug"
    )
    assert code != 0
    assert "Traceback" in said


def test_a_command_ends_with_one_sentence_and_an_exit_code(tmp_path):
    config = "--config=configs/imdb.py:lstm,tiny"
    taken = tmp_path / "photos"
    taken.mkdir()
    (taken / "cat.jpg").touch()
    code, said = command("main", config, f"--workdir={taken}", f"--data_dir={tmp_path}")
    assert code == 1
    assert said.splitlines()[-1].startswith(f"error: {taken} is not empty and holds no config.json")
    assert "Traceback" not in said


@pytest.mark.parametrize("module", ["predict", "evaluate"])
def test_applying_needs_a_run(module, tmp_path):
    code, said = command(module)
    assert (code, "--workdir=DIR" in said, "Traceback" in said) == (1, True, False)
    code, said = command(module, f"--workdir={tmp_path}")
    assert code == 1
    assert said.splitlines()[-1].endswith("--workdir names the directory of a run.")


WRONG = {
    "a key": ("optimiser", {"name": "sgd"}, "no key 'optimiser'. Did you mean 'optimizer'"),
    "a component": ("model.name", "lsmt", "no 'lsmt' in models. Did you mean 'lstm'"),
    "an option": ("model.widht", 3, "'lstm' has no option 'widht'. Did you mean 'width'"),
    "an optimizer": ("optimizer.name", "adm", "Did you mean 'adam'"),
    "an option of the optimizer": ("optimizer.clipp", 1.0, "Did you mean 'clip'"),
    "a duration": ("duration", "4 epoks", "duration"),
    "a mesh axis": ("mesh", {"dta": -1}, "'dta'. Did you mean 'data'"),
    "a mesh": ("mesh", {"data": 5}, "does not fit"),
    "a checkpoint option": ("checkpoint.evry", "1 epochs", "Did you mean 'every'"),
    "a metric to watch": ("early_stopping", {"metric": "vall/loss"}, "'vall/loss'"),
    "a batch size": ("optimizer.accumulate", 3, "batch_size 16 does not divide by"),
    "a split": ("data.splits.train", "train[100%:]", "'train[100%:]' is empty"),
    "a part to keep": ("data.keep", "middle", "'head', 'tail' or 'both'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_config_is_refused_and_spoils_no_directory(what, tmp_path, data_dir):
    key, value, expected = WRONG[what]
    with pytest.raises(UserError) as caught:
        train(tiny(**{key: value}), str(tmp_path / "run"), data_dir=data_dir)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    state = train(tiny(), str(tmp_path / "run"), data_dir=data_dir)  # the directory can be used
    assert int(state.step) == 2


@pytest.mark.parametrize(
    ("split", "expected"),
    [("val", r"'train\[320:\]' is empty"), ("tset", "'tset'. Did you mean 'test'")],
)
def test_a_split_for_the_end_is_checked_before_the_first_step(split, expected, tmp_path, data_dir):
    evals = {"late": {"name": "classification", "split": split, "every": "end"}}
    config = tiny(**{"data.splits.val": "train[320:]", "evals": evals})
    with pytest.raises(UserError, match=expected):
        train(config, str(tmp_path / "run"), data_dir=data_dir)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_the_config_argument_is_checked():
    with pytest.raises(UserError, match="seed is of type int"):
        parse_arg("seed=x", ("lstm",), seed=0)
    with pytest.raises(UserError, match="two variants: lstm and bag"):
        parse_arg("lstm,bag", ("lstm", "bag"))


def test_an_unwritable_workdir(tmp_path, data_dir):
    (tmp_path / "file").touch()  # for root, too, nothing can be made below a file
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        train(tiny(), str(tmp_path / "file" / "run"), data_dir=data_dir)


def test_a_bucket_is_no_folder(data_dir):
    with pytest.raises(UserError, match="--workdir gs://bucket/run is an address"):
        train(tiny(), "gs://bucket/run", data_dir=data_dir)
    code, said = command(
        "main", "--config=configs/imdb.py:lstm,tiny", "--data_dir=gs://bucket/data"
    )
    assert code == 1
    assert said.splitlines()[-1].startswith("error: --data_dir gs://bucket/data is an address")


def test_a_workdir_of_another_config_shows_the_difference(saved, data_dir):
    before = (saved / "config.json").read_text()
    with pytest.raises(UserError) as caught:
        train(tiny(**{"model.hidden": 9, "optimizer.lr": 0.5}), str(saved), data_dir=data_dir)
    assert "model.hidden: 8 -> 9" in str(caught.value)
    assert "optimizer.lr: 0.002 -> 0.5" in str(caught.value)
    assert "--allow_changed_config" in str(caught.value)
    assert (saved / "config.json").read_text() == before


def test_a_checkpoint_of_another_mesh_is_none_of_another_run(saved, tmp_path, data_dir):
    workdir = tmp_path / "run"
    shutil.copytree(saved, workdir)
    config = tiny(mesh={"fsdp": 4, "tensor": 2}, rules={"hidden": "tensor"})
    state = train(config, str(workdir), data_dir=data_dir)
    before = saved_arrays(saved, 2)
    for path, value in jax.tree_util.tree_leaves_with_path(state.variables):
        np.testing.assert_array_equal(value, before[f"['variables']{jax.tree_util.keystr(path)}"])
    assert state.params["embed"]["embedding"].sharding.spec == P(("tensor",), ("fsdp",))


def test_a_run_without_a_checkpoint_or_with_a_torn_config(saved, tmp_path):
    (tmp_path / "config.json").write_bytes((saved / "config.json").read_bytes())
    with pytest.raises(UserError, match="holds no checkpoint"), load_run(tmp_path):
        pass
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="config.json cannot be read"), load_run(tmp_path):
        pass


def test_a_disk_that_fills_while_saving_leaves_what_was_saved(tmp_path, data_dir, monkeypatch):
    workdir = tmp_path / "run"
    train(tiny(), str(workdir), data_dir=data_dir)
    code = errno.ENOSPC
    full = OSError(code, "No space left on device")
    told = ValueError(f"RESOURCE_EXHAUSTED: Failed writing [os_error_code='{code}'] [spec='{{}}']")

    def fail(error):
        raise error

    longer = tiny(duration="4 steps")
    # The second is in another thread.
    for *place, error in ((ocp.AsyncCheckpointer, "save", told), (checkpoint, "_sync", full)):
        with monkeypatch.context() as patch:
            patch.setattr(*place, lambda *_, error=error, **__: fail(error))
            with pytest.raises(UserError) as caught:
                train(longer, str(workdir), data_dir=data_dir, allow_changed_config=True)
        assert f"{workdir / 'checkpoints'}: No space left on device. Of" in str(caught.value)
        assert "step 2 is the newest whole one" in str(caught.value)
        assert checkpoint.verify(workdir / "checkpoints" / "2") is None
    state = train(longer, str(workdir), data_dir=data_dir, allow_changed_config=True)
    assert int(state.step) == 4  # with room again, the same command goes on


def test_two_players_for_a_task_of_one_are_refused(tmp_path, data_dir):
    players = {name: {"name": "sgd", "lr": 1.0} for name in ("generator", "discriminator")}
    with pytest.raises(UserError, match="names the players .* but this task has one"):
        train(tiny(optimizer=players), str(tmp_path / "run"), data_dir=data_dir)


def test_a_loss_that_is_not_finite_stops_with_its_step_and_parameters(tmp_path, data_dir):
    changes = {"optimizer": {"name": "sgd", "lr": 1e30}, "checkpoint": {"every": "1 steps"}}
    config = tiny(duration="9 steps", **changes)
    with pytest.raises(UserError) as caught:
        train(config, str(tmp_path / "run"), data_dir=data_dir)
    said = str(caught.value)
    assert "is not finite at step" in said and "optimizer.lr" in said
    newest = rundir.chosen_checkpoint(tmp_path / "run")
    assert f"the checkpoint of step {newest.name} is intact" in said
    assert checkpoint.verify(newest) is None


def test_a_damaged_checkpoint_is_refused_by_name(saved, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(saved, workdir)
    path = next(p for p in (workdir / "checkpoints" / "2" / "arrays").rglob("d/*") if p.is_file())
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(UserError, match=f"damaged: .*{path.name}"), load_run(workdir):
        pass


def test_real_data_that_is_not_here_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(resolve, "probe", lambda url: "no network")
    with pytest.raises(UserError) as caught:
        train(imdb.get_config("strict").to_dict(), str(tmp_path / "run"), data_dir=str(tmp_path))
    assert "imdb_reviews is neither prepared" in str(caught.value)
    assert "python -m bigmodel_jax.prepare imdb_reviews --from=PATH" in str(caught.value)
    assert "\n" not in str(caught.value)


def own(path):
    config = own_text.get_config("bag,tiny")
    config.data.path = path and str(path)
    return copy.deepcopy(config.to_dict())


def test_ones_own_data_must_be_named_and_be_there(tmp_path, data_dir):
    with pytest.raises(UserError, match="--config.data.path=FILE_OR_FOLDER"):
        train(own(None), str(tmp_path / "run"), data_dir=data_dir)
    with pytest.raises(UserError, match="There is no file or folder .*absent.csv"):
        train(own(tmp_path / "absent.csv"), str(tmp_path / "run"), data_dir=data_dir)


def test_one_class_is_not_enough(tmp_path, data_dir):
    (tmp_path / "one.txt").write_text("good\tfine\n" * 40)
    with pytest.raises(UserError, match="have the label 'good'"):
        train(own(tmp_path / "one.txt"), str(tmp_path / "run"), data_dir=data_dir)


def test_one_class_in_the_training_slice_is_not_enough(tmp_path, data_dir):
    (tmp_path / "own.txt").write_text("good\tfine\n" * 40 + "bad\tpoor\n" * 40)
    config = own(tmp_path / "own.txt")
    config["data"]["splits"] = {"train": "train[:1]", "val": "train[1:]"}
    config.update(evals={}, early_stopping={})
    with pytest.raises(UserError, match="only the class '(good|bad)'"):
        train(config, str(tmp_path / "run"), data_dir=data_dir)


def test_evaluating_without_the_data_says_what_is_missing(tmp_path, data_dir):
    (tmp_path / "own.txt").write_text("good\tfine\nbad\tpoor\n" * 20)
    config = own(tmp_path / "own.txt")
    config.update(duration="1 steps", evals={}, early_stopping={})
    train(config, str(tmp_path / "run"), data_dir=data_dir)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["fingerprint"]
    (tmp_path / "own.txt").unlink()
    with pytest.raises(UserError, match="There is no file or folder .*own.txt"):
        evaluate(str(tmp_path / "run"), "test", data_dir)


def test_a_run_on_other_data_is_left_alone_in_one_sentence(tmp_path, data_dir):
    for name, rows in (("one.txt", "good\tfine\nbad\tpoor\n"), ("two.txt", "a\tx\nb\ty\nc\tz\n")):
        (tmp_path / name).write_text(rows * 20)
    config = own(tmp_path / "one.txt")
    config.update(duration="1 steps", evals={}, early_stopping={})
    train(config, str(tmp_path / "run"), data_dir=data_dir)
    config["data"]["path"] = str(tmp_path / "two.txt")
    with pytest.raises(UserError) as caught:
        train(config, str(tmp_path / "run"), data_dir=data_dir)
    one, two = (json.dumps(str(tmp_path / name)) for name in ("one.txt", "two.txt"))
    assert str(caught.value) == (
        f"{tmp_path / 'run'} holds a run on other data (data.reader.path: {one} -> {two}): choose "
        "another --workdir."
    )


def test_more_classes_than_fit_into_scores_name_a_model_that_they_fit(tmp_path, data_dir):
    rows = "".join(f"class {i % 200}\tword {i % 200}\n" for i in range(800))
    (tmp_path / "many.txt").write_text(rows)
    config = own(tmp_path / "many.txt")
    config["model"]["buckets"] = 2**20
    with pytest.raises(UserError, match="textcnn, or set --config.model.buckets=524288."):
        train(config, str(tmp_path / "run"), data_dir=data_dir)


def test_a_test_part_of_few_examples_is_no_proof(tmp_path, data_dir, capsys):
    (tmp_path / "few.txt").write_text("good\tfine\nbad\tpoor\n" * 10)
    train(own(tmp_path / "few.txt"), str(tmp_path / "run"), data_dir=data_dir)
    said = capsys.readouterr().out
    assert "NOTE: test has only 2 examples: others might give quite different numbers." in said
