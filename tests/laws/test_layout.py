"""A step sends what its layout asks for and no more, and keeps its share: counted in compiled programs.

A lost constraint shows here as an array that is gathered, or whole on each device. The batch is so
large that its activations are far larger than parameters, as in earnest.
"""

import math

import pytest

from bigmodel_jax.config import complete
from bigmodel_jax.planning import hardware
from bigmodel_jax.planning.program import compile_step
from tests.laws.harness import CONFIGS, costly

LACKING = 7 / 8  # of an array in eight parts, what each device lacks
STEADY = ("imdb-transformer", "imdb-bilstm", "gpt-shakespeare", "mnist", "mnist-cnn", "multi30k")
# A tied table gets a gradient from each of its uses, which XLA adds up after it has summed them.
TABLES = {"gpt-shakespeare": 64 * 16, "multi30k": 2 * 304 * 16}


def compiled(name, mesh, data_dir, rows=256):
    config = complete({**CONFIGS[name](), "mesh": mesh})
    config["data"] = {**config["data"], "batch_size": rows}
    topology = hardware.parse(f"cpu:{math.prod(mesh.values())}")
    return compile_step(config, topology, data_dir)


@pytest.mark.parametrize("name", costly(STEADY, "mnist", "mnist-cnn"))
def test_rows_over_all_devices_cost_one_sum_of_the_gradients_and_an_eighth_of_the_memory(
    name, data_dir
):
    one = compiled(name, {"data": 1}, data_dir)
    for axis in ("data", "fsdp"):
        many = compiled(name, {axis: 8}, data_dir)
        bytes_of = dict.fromkeys(("all-reduce", "all-gather"), 0.0)
        for sent in many.sent:
            assert sent.axes == (axis,)
            bytes_of[sent.op] += sent.bytes
        gradients = 4 * (many.parameters + TABLES.get(name, 0))
        assert 1 <= bytes_of["all-reduce"] / (2 * LACKING * gradients) < 1.02
        # Once for both passes on a CPU, and a norm's or table's in whole twice.
        most = 0 if axis == "data" else 2 * LACKING * 4 * many.parameters
        assert bytes_of["all-gather"] <= most
        assert many.memory.temporary < one.memory.temporary / 8 + 3 * 4 * many.parameters


def test_a_split_width_sums_what_enters_and_leaves_each_block_over_its_own_axis(data_dir):
    program = compiled("gpt-shakespeare", {"fsdp": 4, "tensor": 2}, data_dir)
    sums = sum(x.bytes for x in program.sent if x.axes == ("tensor",) and x.op == "all-reduce")
    activation = 4 * (256 // 4) * 16 * 16  # float32[rows, length, width] of a device
    # Forward: a block's attention and MLP, and the embedding. Backward: queries, keys, values, MLP, logits.
    expected = 2 * (1 / 2) * activation * (2 * (2 + 4) + 2)
    assert 1 <= sums / expected < 1.1
    assert all(x.axes for x in program.sent)
