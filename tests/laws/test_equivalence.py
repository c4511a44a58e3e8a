"""Laws 3 to 6: what must not matter does not: a stop, devices, micro-batches, dispatches, residence.

The laws are those of bigmodel_jax/verifying, which `python -m bigmodel_jax.verify` shows to users. Those
that need processes of their own are tested on one config each, in test_verify.py.
"""

import numpy as np
import pytest

from bigmodel_jax.verifying import accumulated, devices, laws, shares, stepping
from tests.laws.harness import (
    ACTING,
    ALL,
    CONFIGS,
    STRAINS,
    STREAMED,
    costly,
    loss_of,
    relative_distance,
    run_steps,
    subject,
)

HERE = [law for law in laws.LAWS if law not in ("repeated", "killed", "processes", "shares")]
DEEP = (
    "gpt-shakespeare", "imdb-mlm", "imdb-lm", "gpt2-pretrain", "finetune-text", "conll", "chat", "squad",
    "choice", "multi30k", "summarize", "cifar10-vit", "cifar10-mae", "movielens-sequence",
)  # fmt: skip
TOYS = tuple(name for name in STRAINS if name != "lora")  # without files and evaluators
# The configs of which a law says nothing. That a mask or a negative is drawn for each micro-batch, and that
# a norm's batch is the micro-batch, is as it should be.
SILENT = {
    "resident": (*TOYS, *STREAMED, *ACTING),
    "evaluated": (*TOYS, "mnist-gan", *ACTING),
    "dispatches": ("actor",),
    "accumulated": (
        "gan", "batch_norm", "rollout", "actor", "imdb-mlm", "mnist-cnn", "folder", "cifar10-airbench",
        "cifar10-resnet", "cifar10-mae", "mnist-vae", "mnist-gan", "mnist-vqvae", "mnist-diffusion",
        "cifar10-diffusion", "movielens-ncf", *ACTING,
    ),
    "remat": tuple(name for name in ALL if name not in DEEP),
    "scan": tuple(name for name in ALL if name not in DEEP or name in ("imdb-mlm", "cifar10-mae")),
}  # fmt: skip


# The laws share one run of each config.
@pytest.mark.parametrize("name", costly(ALL))
def test_the_laws_hold(name, tmp_path, data_dir):
    verdicts = list(laws.verify(subject(name, data_dir, tmp_path), HERE))
    assert [laws.line(v) for v in verdicts if not v.fine] == []
    silent = {v.law for v in verdicts if v.word == "does not apply"}
    assert silent == {law for law, names in SILENT.items() if name in names}


@pytest.mark.slow
@pytest.mark.parametrize(
    "mesh", [{"fsdp": 2, "tensor": 4}, {"data": 2, "fsdp": 4}, {"data": 2, "sequence": 4}]
)
@pytest.mark.parametrize("name", ALL)
def test_other_meshes_agree_with_one_device(name, mesh, tmp_path, data_dir):
    finding = devices.check(subject(name, data_dir, tmp_path), mesh)
    assert finding.holds, finding


@pytest.mark.parametrize(
    "mesh",
    [
        {"fsdp": 2, "tensor": 2, "stage": 2},
        pytest.param({"data": 2, "stage": 4}, marks=pytest.mark.slow),
        pytest.param({"data": 2, "sequence": 2, "stage": 2}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "name", costly(("imdb-mlm", "gpt2-pretrain", "cifar10-vit", "cifar10-mae", "summarize"))
)
def test_stages_agree_with_one_device(name, mesh, data_dir):
    # With all that goes with them: dropout, drawn for the same micro-batches; remat; accumulation.
    config = CONFIGS[name]()
    config["model"] |= {"scan": True, "remat": "full", "microbatches": 4}
    config["model"] |= {"num_layers": mesh["stage"], "dropout": 0.1}
    if name == "cifar10-mae":
        config["model"] |= {"decoder_layers": mesh["stage"]}
    config["data"]["batch_size"] = 16
    config["optimizer"] = stepping.descending({"name": "sgd"}, accumulate=2)
    one, many = (stepping.descent(config, data_dir, shape) for shape in (None, mesh))
    finding = stepping.compared("", one, many, config)
    assert finding.holds, finding


# One config in CI, the others that it applies to under `-m slow`.
@pytest.mark.parametrize(
    "name",
    costly((n for n in CONFIGS if n not in SILENT["accumulated"]), *(set(CONFIGS) - {"imdb-lstm"})),
)
def test_accumulated_on_a_mesh_equals_whole_batch(name, tmp_path, data_dir):
    given = subject(name, data_dir, tmp_path, batch_size=32)
    finding = accumulated.check(given, {"data": 2, "fsdp": 4})
    assert finding.holds, finding


def test_accumulation_over_batch_norm_on_a_mesh_equals_it_on_one_device(data_dir):
    config = ALL["batch_norm"](optimizer=dict(name="sgd", lr=0.1, accumulate=4))
    one, one_rows = run_steps(config, data_dir, 3)
    many, many_rows = run_steps(config, data_dir, 3, {"data": 2, "fsdp": 4})
    assert relative_distance(many.variables, one.variables) < 1e-5
    # Each of the four micro-batches moved the running mean: 0.9^12 of the start is left.
    mean = np.asarray(one.variables["batch_stats"]["norm"]["mean"])
    assert np.abs(mean).max() > 0 and loss_of(many_rows[2]) == pytest.approx(
        loss_of(one_rows[2]), rel=1e-5
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_shares_of_processes_make_up_the_same_global_batch(name, tmp_path, data_dir):
    finding = shares.check(subject(name, data_dir, tmp_path))
    assert finding.holds and finding.compared.endswith("1 and 2 and 4 processes"), finding
