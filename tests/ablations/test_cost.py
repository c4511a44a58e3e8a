"""What trials cost: products against a closed form, energy against counters that are made up."""

import ctypes
import json
import time
from types import SimpleNamespace

import pytest

from bigmodel_jax import config
from bigmodel_jax.ablations import cost, energy, tables
from bigmodel_jax.rundir import replace
from configs import imdb, mnist


def test_the_products_of_a_networks_step_are_those_of_the_formula(tmp_path):
    given = config.complete(mnist.get_config("mlp,tiny").to_dict())
    inputs, hidden, classes, rows = 16 * 16, 128, 5, 16
    forward = 2 * rows * (inputs * hidden + hidden * classes)
    backward = forward + 2 * rows * hidden * classes  # of the pixels nobody wants a gradient
    assert cost.flops_per_step(given, str(tmp_path)) == forward + backward


def test_batches_of_several_lengths_count_by_how_often_they_come(tmp_path):
    given = config.complete(imdb.get_config("textcnn,tiny").to_dict())
    given["data"] = {k: v for k, v in given["data"].items() if k not in ("candidates", "strict")}
    given["data"]["reader"] = dict(name="synthetic_reviews", train_size=320, test_size=96)
    both = cost.flops_per_step(given, str(tmp_path))
    each = []
    for length in (32, 64):  # padded to
        given["data"] |= {"buckets": (length,), "max_length": length}
        each.append(cost.flops_per_step(given, str(tmp_path)))
    assert each[0] < both < each[1]
    assert cost.flops_per_step({**given, "actor": {"name": "toy"}}, str(tmp_path)) is None
    given["data"]["reader"] = dict(name="tfds", dataset="nowhere")
    assert cost.flops_per_step(given, str(tmp_path)) is None


@pytest.fixture
def zone(tmp_path, monkeypatch):
    """A RAPL counter that is near its end."""
    folder = tmp_path / "powercap" / "intel-rapl:0"
    folder.mkdir(parents=True)
    for name, value in (("name", "package-0"), ("max_energy_range_uj", 100_000_000)):
        (folder / name).write_text(f"{value}\n")
    (folder / "energy_uj").write_text("90000000\n")
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "powercap")
    monkeypatch.setattr(energy, "NVML", "libthere-is-none.so")
    return folder


def test_a_counter_that_begins_anew_in_between_loses_nothing(zone, monkeypatch):
    monkeypatch.setattr(energy, "POLL", 0.01)
    with energy.metered() as told:
        for reading in (99_000_000, 8_000_000, 98_000_000, 3_000_000):  # twice around
            replace(zone / "energy_uj", f"{reading}\n")
            time.sleep(0.2)
    assert energy.total(told) == pytest.approx((99 - 90) + (108 - 99) + (98 - 8) + (103 - 98))
    assert json.loads(json.dumps(told)) == {
        "joules": {"intel-rapl:0 package-0": pytest.approx(113)}
    }


def test_what_cannot_be_read_is_said(zone):
    (zone / "energy_uj").unlink()
    with energy.metered() as told:
        pass
    assert "energy_uj cannot be read" in told["why"] and "no NVML" in told["why"]
    assert energy.total(told) is None


def test_a_gpus_counter_is_in_millijoules(zone, monkeypatch):
    (zone / "energy_uj").unlink()
    readings = iter((1_000, 1_000, 43_500))

    def count(found):
        found._obj.value = 1
        return 0

    def total(handle, found):
        found._obj.value = next(readings)
        return 0

    library = SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlDeviceGetCount_v2=count,
        nvmlDeviceGetHandleByIndex_v2=lambda index, handle: 0,
        nvmlDeviceGetTotalEnergyConsumption=total,
    )
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    with energy.metered() as told:
        pass
    assert told["joules"] == {"GPU 0": 42.5}


def test_the_table_says_what_is_known_and_why_the_rest_is_not():
    run = SimpleNamespace(seconds=65.0, rows=[{"step": 100}], about={"parameters": 1234}, shared="")
    groups = {name: {0: SimpleNamespace(run=run)} for name in ("a", "b")}
    used = {"a": [{"joules": {"x": 1500.0, "y": 500.0}}], "b": [{"why": "it is gone"}]}
    table, words = tables.costs(groups, {"a": 2e9, "b": None}, used)
    assert table.rows[0][-2:] == ["2e+11", "2.00"] and table.rows[1][-2:] == ["–", "–"]
    assert "whatever else ran is in it" in words.text
    assert words.text.endswith("The energy of some runs is not known: it is gone.")
