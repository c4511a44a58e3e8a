"""What a plan says is what its config, its mesh and its compiled program say."""

import json

import jax
import pytest

from bigmodel_jax.config import complete
from bigmodel_jax.errors import UserError
from bigmodel_jax.planning import hardware, report, search
from bigmodel_jax.planning.advice import advise, largest_batch
from bigmodel_jax.planning.estimate import estimate
from bigmodel_jax.planning.hardware import CHIPS, GIB
from bigmodel_jax.planning.program import compile_step
from configs import gpt2_pretrain

EIGHT = hardware.parse("cpu:8")


def tiny(mesh, **model):
    config = complete(gpt2_pretrain.get_config("tiny").to_dict())
    return {
        **config,
        "mesh": mesh,
        "model": {**config["model"], **model},
        "optimizer": {**config["optimizer"], "accumulate": 1},
    }


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def program(data_dir):
    return compile_step(tiny({"fsdp": 4, "tensor": 2}, scan=True), EIGHT, data_dir)


@pytest.fixture(scope="module")
def split(program):
    return report.figures(tiny({"fsdp": 4, "tensor": 2}, scan=True), EIGHT, program)


@pytest.fixture(scope="module")
def whole(data_dir):
    """Of data parallelism, and of data that are not here."""
    config = tiny({"data": 8}, scan=True)
    config["data"] = elsewhere(config["data"])
    return report.figures(config, EIGHT, compile_step(config, EIGHT, data_dir))


def elsewhere(data):
    own = {k: v for k, v in data.items() if k not in ("reader", "tokenizer")}
    return {**own, "path": "/nowhere"}


def test_memory_is_that_of_the_shards(split, whole):
    assert whole["memory"]["parameters"] == 4 * whole["parameters"]
    assert whole["memory"]["moments"] >= 2 * 4 * whole["parameters"]
    assert split["parameters"] == whole["parameters"]
    # Kernels and tables divide over all eight; norms only where their axis does.
    assert split["memory"]["parameters"] < whole["memory"]["parameters"] / 6
    assert split["memory"]["batch"] == 2 * whole["memory"]["batch"]  # rows over fsdp alone
    assert {c["axes"] for c in whole["collectives"]} == {("data",)}


def test_work_is_counted_by_part_and_as_the_formula_for_decoders_has_it(split):
    tokens, width, layers, length, vocabulary = 16 * 32, 16, 2, 32, 384
    products = 6 * tokens * (12 * layers * width**2 + width * vocabulary)
    # Scores and their use: 2 products forward, 4 backward, and one weight's recomputation or two.
    attention = 2 * 2 * layers * tokens * length * width
    assert products + 3 * attention <= split["flops"]["model"] <= 1.25 * (products + 3 * attention)
    named = {part["name"] for part in split["parts"]}
    assert named == {"decoder/attention", "decoder/mlp", "embed", "optimizer", "reading kernels"}


def test_collectives_of_a_split_model_run_along_its_axes(split):
    kinds = {(c["op"], c["axes"]) for c in split["collectives"]}
    assert ("all-gather", ("fsdp",)) in kinds
    assert ("all-reduce", ("tensor",)) in kinds
    assert all(axes for _, axes in kinds)


def test_a_table_names_all_that_a_plan_answers(split):
    said = report.table(split)
    for words in (
        "cpu:8, as fsdp 4 x tensor 2",
        "parameters",
        "all-gather along fsdp",
        "MFU",
        "largest batch",
    ):
        assert words in said
    assert json.loads(json.dumps(split))["fits"]


def test_slower_links_and_smaller_memories_change_the_verdict(program):
    chip = CHIPS["v5e"]
    slow = chip._replace(link=chip.link / 1e6)
    assert estimate(program, chip, 8).seconds < estimate(program, slow, 8).seconds
    assert estimate(program, slow, 8).bound == "communication"
    small = chip._replace(memory=program.memory.peak / 2)
    assert largest_batch(program, small) < program.examples < largest_batch(program, chip)
    config = tiny({"fsdp": 4, "tensor": 2})
    said = " ".join(advise(config, program, estimate(program, small, 8), small, 8))
    assert "remat=full" in said and "accumulate=2" in said


def test_what_crosses_slices_takes_the_network(program):
    one, two = hardware.parse("v5e:2x4").chip, hardware.parse("2xv5e:2x2").chip
    # fsdp 4 x tensor 2: tensor lies within a slice of four, fsdp across two of them.
    near, far = estimate(program, one, 8).sent, estimate(program, two, 8).sent
    for (op, axes), seconds in far.items():
        slower = one.link / one.network if "fsdp" in axes else 1
        assert seconds == pytest.approx(near[op, axes] * slower)


def test_without_its_data_it_plans_from_their_shapes_and_says_so(whole, tmp_path):
    assert whole["batch"] == {"examples": 16, "tokens": 512} and whole["flops"]["model"] > 0
    assert "/nowhere" in whole["described"] and "the data are not here" in report.table(whole)
    config = tiny({"data": 8})
    config["data"] = elsewhere(config["data"])
    del config["model"]["vocabulary_size"]
    with pytest.raises(UserError, match="--config.model.vocabulary_size"):
        compile_step(config, EIGHT, str(tmp_path))


@pytest.mark.slow  # six compilations
def test_search_ranks_what_fits_by_time(data_dir):
    config = tiny({"data": 8})
    rows = search.ranking(
        {**config, "model": {**config["model"], "num_layers": 1}}, EIGHT, data_dir
    )
    times = [row["seconds"] for row in rows if row["fits"]]
    assert len(times) >= 6 and times == sorted(times)
    assert "does not fit" not in search.table(rows)


@pytest.mark.parametrize(
    "name, words",
    [
        ("v5x:4x4", "Did you mean 'v5p'"),
        ("v5e", "numbers of devices"),
        ("cpu:0", "numbers of devices"),
        ("2xh200:8x16", "only TPUs come in slices"),
    ],
)
def test_a_topology_that_is_none_is_refused(name, words):
    with pytest.raises(UserError, match=words):
        hardware.parse(name)


def test_topologies_name_their_devices():
    assert (
        hardware.parse("h200:8x16").devices == 128 and hardware.parse("v5e:16x16").platform == "tpu"
    )
    two = hardware.parse("2xv5e:4x4")
    assert (two.slices, two.kind, two.devices, two.platform) == (2, "v5e", 32, "tpu")
    assert CHIPS["h200"].memory == 141 * GIB and jax.device_count() == 8
