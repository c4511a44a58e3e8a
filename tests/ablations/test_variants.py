"""What varies is read, named and checked before anything runs."""

import importlib
from pathlib import Path

import pytest

from bigmodel_jax import schema
from bigmodel_jax.ablations import overrides, spaces, variants
from bigmodel_jax.ablations.config_file import ConfigFile
from bigmodel_jax.ablations.variants import Variant
from bigmodel_jax.config import complete
from bigmodel_jax.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mnist():
    return complete(importlib.import_module("configs.mnist").get_config("val").to_dict())


def check(config, found, **options):
    return variants.check(lambda seed: dict(config), 0, found, **options)


def test_grids_multiply_and_zips_go_together(mnist):
    found = variants.cells(
        mnist, ["optimizer.lr=1e-2,3e-2"], ["data.batch_size=32,64; duration=2 epochs,1 epochs"]
    )
    assert [v.name for v in found] == [
        "lr=0.01,batch_size=32,duration=2 epochs",
        "lr=0.01,batch_size=64,duration=1 epochs",
        "lr=0.03,batch_size=32,duration=2 epochs",
        "lr=0.03,batch_size=64,duration=1 epochs",
    ]
    assert found[3].overrides == {
        "optimizer.lr": 0.03,
        "data.batch_size": 64,
        "duration": "1 epochs",
    }
    assert found[3].folder == "lr=0.03,batch_size=64,duration=1-epochs"


def test_differences_are_named_by_hand_or_by_what_they_change(mnist):
    texts = ["wide: model.hidden=(256,64); ema=0.9", 'optimizer={"name": "adam", "lr": 1e-3}']
    found = variants.with_baseline(variants.differences(mnist, texts))
    assert [v.name for v in found] == ["baseline", "wide", "optimizer=adam lr=0.001"]
    assert found[1].overrides == {"model.hidden": (256, 64), "ema": 0.9}
    assert check(mnist, found).name == "baseline"
    changed = overrides.apply(mnist, found[2].overrides)
    assert changed["optimizer"] == {"name": "adam", "lr": 1e-3}  # the momentum went with the rest


def test_the_baseline_is_the_config_as_it_is_else_the_first_else_the_one_named(mnist):
    found = variants.cells(mnist, ["optimizer.lr=3e-2,1e-2"], [])
    assert check(mnist, found).name == "lr=0.01"
    assert check(mnist, found, baseline="lr=0.03").name == "lr=0.03"
    assert check(mnist, variants.cells(mnist, ["optimizer.lr=3e-2,5e-2"], [])).name == "lr=0.03"
    with pytest.raises(UserError, match="Did you mean 'lr=0.03'"):
        check(mnist, found, baseline="lr=0.3")


def test_keys_that_end_alike_are_written_out():
    assert (
        overrides.name({"a.lr": 1, "b.lr": 2, "model.name": "cnn"})
        == "a.lr=1,b.lr=2,model.name=cnn"
    )


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("optimizer.lrr=1", "config.optimizer (sgd) has no key 'lrr'. Did you mean 'lr'?"),
        ("model.hiden=(1,)", "config.model (mlp) has no key 'hiden'. Did you mean 'hidden'?"),
        ("optimiser.lr=1", "The config has no key 'optimiser'. Did you mean 'optimizer'?"),
        (
            "optimizer.schedule.name=cosin",
            "config.optimizer.schedule.name is 'cosin'. Did you mean 'cosine'?",
        ),
        ("optimizer.name=adam", "config.optimizer (adam) has no key 'momentum'"),
        ("optimizer.lr=0.01", "The variant 'lr=0.01' changes nothing"),
        ("data.batch_size=32.5", "data.batch_size cannot be 32.5: the config says 64"),
        ("data.resident=1", "is true or false"),
        ("optimizer.lr.peak=1", "config.optimizer.lr is 0.01: it has no keys"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(mnist, text, sentence):
    with pytest.raises(UserError) as error:
        check(mnist, variants.with_baseline(variants.differences(mnist, [text])))
    assert sentence in str(error.value)


def test_variants_that_are_one_are_refused(mnist):
    with pytest.raises(UserError, match="'lr=0.02' again|Two variants are called 'lr=0.02'"):
        check(mnist, variants.cells(mnist, ["optimizer.lr=2e-2,0.02"], []))
    with pytest.raises(UserError, match="Two variants are called 'a'"):
        check(mnist, [Variant("a", {"ema": 0.9}), Variant("a", {"ema": 0.8})])
    with pytest.raises(UserError, match="would share the folder a-b"):
        check(mnist, [Variant("a b", {"ema": 0.9}), Variant("a/b", {"ema": 0.8})])
    with pytest.raises(UserError, match="'second' is 'first' again"):
        check(mnist, [Variant("first", {"ema": 0.9}), Variant("second", {"ema": 0.9})])


@pytest.mark.parametrize("bad", ["optimizer.lr", "optimizer.lr=", "=3"])
def test_a_grid_that_cannot_be_read_shows_one_that_can(mnist, bad):
    with pytest.raises(UserError, match="as 'optimizer.lr=1e-3,3e-4' would"):
        variants.cells(mnist, [bad], [])


def test_every_config_as_it_is_shipped_passes_the_schema():
    for path in sorted((ROOT / "configs").glob("[a-z]*.py")):
        config = importlib.import_module(f"configs.{path.stem}").get_config()
        schema.check(complete(config.to_dict()))


def test_a_seed_is_what_the_config_file_makes_of_it():
    """imdb_finetune.py draws other labelled reviews with another seed."""
    arg = "labels=500,seed=1"
    given = importlib.import_module("configs.imdb_finetune").get_config(arg).to_dict()
    given["ema"] = 0.9  # as --config.ema=0.9 does
    file = ConfigFile(f"{ROOT}/configs/imdb_finetune.py:{arg}", given, {"ema": 0.9})
    assert file.config(1)["data"]["splits"]["train"] == "train[500:1000]"
    assert file.config(3)["data"]["splits"]["train"] == "train[1500:2000]"
    assert (file.config(3)["seed"], file.config(3)["ema"]) == (3, 0.9)


def test_a_space_is_ranges_and_lists(mnist):
    axes = spaces.parse(
        mnist,
        ["optimizer.lr=1e-3..1e-1 log", "data.batch_size=16..64", "model.hidden=(64,),(128,64)"],
    )
    assert axes[0][1:5] == (1e-3, 1e-1, True, False) and axes[1].whole
    assert axes[2].value(mnist, axes[2].choices[1]) == (128, 64)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("optimizer.lr=1e-1..1e-3", "a range rises"),
        ("optimizer.lr=0..1 log", "begins above 0"),
        ("optimizer.lr=a..b", "no range of numbers"),
        ("optimizer.lr=1", "leaves nothing to choose"),
        ("optimizer.momentumm=0..1", "Did you mean 'momentum'"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(mnist, text, sentence):
    with pytest.raises(UserError, match=sentence):
        spaces.parse(mnist, [text])
