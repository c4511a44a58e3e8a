"""What the laws share: the configs they hold for, and short runs of them."""

import importlib
from pathlib import Path

import jax
import numpy as np
import pytest

from bigmodel_jax import experiment, inheritance, sharding, steps, trees
from bigmodel_jax.config import complete
from bigmodel_jax.data.resolve import resolve_data
from bigmodel_jax.train import train
from tests.strains import batch_norm, gan, lora, policy


def shipped(name, arg):
    """A config as it is shipped, but in float32: bfloat16 would hide a wrong digit in rounding.

    What only makes a run quicker (data on the device, several steps a dispatch) has laws of its own.
    """

    def make():
        config = importlib.import_module(f"configs.{name}").get_config(arg).to_dict()
        config["model"]["dtype"] = "float32"
        config["data"].pop("resident", None)  # steps are run without the loop, which looks after it
        config["repeat"] = 1
        return config

    return make


def started(name, parent):
    """A config that starts from a run of `parent`: its model and tokenizer, before it has learnt."""

    def make():
        config, given = shipped(name, "tiny")(), shipped(parent, "tiny")()
        own = {k: v for k, v in config["model"].items() if k != "name"}
        config["model"] = inheritance.child(given["model"], own)
        config["model"]["vocabulary_size"] = 304  # more than it has: eight devices divide it
        config["data"]["tokenizer"] = given["data"]["tokenizer"]
        return config

    return make


STRAINS = {
    "gan": gan.config,
    "batch_norm": batch_norm.config,
    "lora": lora.config,
    "rollout": lambda: policy.config(rollout=True),
    "actor": lambda: policy.config(rollout=False),
}
CONFIGS = {
    "imdb-bag": shipped("imdb", "bag,tiny,fold=1/10"),
    "imdb-lstm": shipped("imdb", "lstm,tiny"),
    "imdb-bilstm": shipped("imdb", "bilstm,tiny"),
    "imdb-textcnn": shipped("imdb", "textcnn,tiny"),
    "imdb-transformer": shipped("imdb", "transformer,tiny"),
    "gpt-shakespeare": shipped("gpt_shakespeare", "best,tiny"),
    "imdb-mlm": shipped("imdb_mlm", "tiny"),
    "imdb-lm": shipped("imdb_lm", "tiny"),
    "gpt2-pretrain": shipped("gpt2_pretrain", "tiny"),
    "finetune-text": started("finetune_text", "imdb_mlm"),
    "conll": shipped("conll", "tiny"),
    "chat": started("chat", "imdb_lm"),
    "squad": shipped("squad", "tiny"),
    "choice": shipped("choice", "tiny"),
    "multi30k": shipped("multi30k", "tiny"),
    "summarize": shipped("summarize", "tiny"),
    "mnist": shipped("mnist", "mlp,tiny"),
    "mnist-cnn": shipped("mnist", "cnn,tiny"),
    "folder": shipped("folder", "tiny"),
    "cifar10-airbench": shipped("cifar10", "small,tiny"),
    "cifar10-resnet": shipped("cifar10", "resnet18,tiny"),
    "cifar10-vit": shipped("cifar10", "vit,tiny"),
    "cifar10-mae": shipped("cifar10_mae", "tiny"),
    "mnist-anomaly": shipped("mnist_anomaly", "tiny"),
    "movielens": shipped("movielens", "svdpp,tiny"),
    "movielens-ncf": shipped("movielens", "ncf,tiny"),
    "movielens-sequence": shipped("movielens", "sequence,tiny"),
}
ALL = {**STRAINS, **CONFIGS}
# Costly laws run in CI on the strains and on a few configs of unlike batches; on these under `-m slow`.
ALIKE = (
    "imdb-bilstm", "imdb-textcnn", "imdb-transformer", "imdb-lm", "gpt2-pretrain", "finetune-text",
    "conll", "chat", "squad", "choice", "multi30k", "summarize", "mnist", "folder", "cifar10-mae",
    "cifar10-airbench", "cifar10-resnet", "cifar10-vit", "mnist-anomaly",
    "movielens", "movielens-ncf", "movielens-sequence",
)  # fmt: skip
LANGUAGE = ("gpt-shakespeare", "imdb-mlm", "imdb-lm", "gpt2-pretrain")  # of running text
PARTLY = (
    "conll",
    "chat",
    "squad",
    "choice",
    "multi30k",
    "summarize",
    "movielens",
    "movielens-ncf",
    "movielens-sequence",
)  # of words, answers or ratings: neither of one label a text nor of every token
STREAMED = ("imdb-mlm", "folder", "cifar10-vit", *PARTLY)  # whose batches the host alone makes
# Those whose batch comes from a source: the laws that need the same batch twice.
WITH_SOURCE = {k: v for k, v in ALL.items() if k not in ("rollout", "actor")}


def costly(names, *others):
    """Names for a costly law, those of ALIKE and `others` marked slow."""
    alike = (*ALIKE, *others)
    return [pytest.param(n, marks=pytest.mark.slow) if n in alike else n for n in names]


def make_mesh(shape=None):
    """All eight devices as data parallel, another shape of them, or one device for None."""
    if shape is None:
        return sharding.make_mesh({"data": 1}, jax.devices()[:1])
    return sharding.make_mesh(shape)


def run_steps(config, data_dir, count, mesh_shape=None, batch=None):
    """(state, metrics of each step) after `count` steps; always on `batch` if one is given."""
    mesh = make_mesh(mesh_shape)
    config = complete({**config, "mesh": mesh_shape or {"data": 1}})
    with sharding.use(mesh, config["rules"]):
        config["data"], _ = resolve_data(config["data"], data_dir=data_dir)
        plan = experiment.make_plan(config, data_dir, mesh)
        state = experiment.fresh_state(plan)
        layout = jax.tree.map(lambda x: x.sharding, plan.abstract)
        update = jax.jit(steps.counted(plan.step).update, out_shardings=(layout, None))
        act = jax.jit(plan.task.act) if config["actor"] else None
        rows = []
        for i in range(count):
            if config["actor"]:
                rows_in = plan.source.collect(act, state.variables, i)
            else:
                rows_in = plan.source.batch(i) if batch is None else batch
            state, row = update(state, sharding.put(rows_in, mesh), jax.random.key(0))
            rows.append(jax.device_get(row))
        return state, rows


def loss_of(row):
    """The mean of the first loss of a step's metrics that was computed."""
    name = next(k for k in sorted(row) if k.endswith("loss") and row[k].weight)
    return float(row[name].total / row[name].weight)


def saved_arrays(workdir: Path, step: int) -> dict[str, np.ndarray]:
    """Every array of a checkpoint by path, as it lies on the disk."""
    import orbax.checkpoint as ocp

    arrays = workdir / "checkpoints" / str(step) / "arrays"
    found = {}
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as orbax:
        for item in (x for x in arrays.iterdir() if x.is_dir()):
            shapes = orbax.metadata(item).item_metadata.tree
            on_host = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
            found[item.name] = orbax.restore(item, restore_args=on_host)
    leaves = jax.tree_util.tree_leaves_with_path(found)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_same_bits(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for path, value in first.items():
        np.testing.assert_array_equal(value, second[path], err_msg=path)


def relative_distance(a, b) -> float:
    """|a - b| / |b| over all leaves together."""
    a, b = (
        np.concatenate([np.ravel(x) for x in jax.tree.leaves(jax.device_get(t))]) for t in (a, b)
    )
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12))


__all__ = [
    "ALL", "CONFIGS", "LANGUAGE", "PARTLY", "STRAINS", "STREAMED", "WITH_SOURCE", "assert_same_bits", "loss_of", "costly", "relative_distance",
    "run_steps", "saved_arrays", "train", "trees",
]  # fmt: skip
