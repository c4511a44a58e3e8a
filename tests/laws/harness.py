"""What the laws share: the configs they hold for, and short runs of them."""

import importlib

import pytest

from bigmodel_jax import inheritance, trees
from bigmodel_jax.train import train
from bigmodel_jax.verifying import comparing
from bigmodel_jax.verifying.comparing import relative_distance, saved_arrays
from bigmodel_jax.verifying.stepping import loss_of, make_mesh, run_steps
from bigmodel_jax.verifying.subject import Subject
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
    "mnist-vae": shipped("mnist_vae", "tiny"),
    "mnist-gan": shipped("mnist_gan", "tiny"),
    "mnist-vqvae": shipped("mnist_vqvae", "tiny"),
    "mnist-diffusion": shipped("mnist_diffusion", "tiny"),
    "cifar10-diffusion": shipped("cifar10_diffusion", "dit,tiny"),
    "movielens": shipped("movielens", "svdpp,tiny"),
    "movielens-ncf": shipped("movielens", "ncf,tiny"),
    "movielens-sequence": shipped("movielens", "sequence,tiny"),
    "cartpole-ppo": shipped("cartpole_ppo", "tiny"),
    "cartpole-dqn": shipped("cartpole_dqn", "tiny"),
    "acrobot-ppo": shipped("acrobot_ppo", "tiny"),
    "pendulum-ppo": shipped("pendulum_ppo", "tiny"),
    "bitcells": shipped("bitcells", "tiny"),
}
ALL = {**STRAINS, **CONFIGS}
# Costly laws run in CI on the strains and on a few configs of unlike batches; on these under `-m slow`.
ALIKE = (
    "imdb-bilstm", "imdb-textcnn", "imdb-transformer", "imdb-lm", "gpt2-pretrain", "finetune-text",
    "conll", "chat", "squad", "choice", "multi30k", "summarize", "mnist", "folder", "cifar10-mae",
    "cifar10-airbench", "cifar10-resnet", "cifar10-vit", "mnist-anomaly",
    "mnist-vae", "mnist-gan", "mnist-vqvae", "mnist-diffusion", "cifar10-diffusion",
    "movielens", "movielens-ncf", "movielens-sequence", "cartpole-ppo", "acrobot-ppo", "pendulum-ppo",
    "bitcells",
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
ACTING = ("cartpole-ppo", "cartpole-dqn", "acrobot-ppo", "pendulum-ppo", "bitcells")  # of agents
# Those whose batch comes from a source: the laws that need the same batch twice.
WITH_SOURCE = {k: v for k, v in ALL.items() if k not in ("rollout", "actor", *ACTING)}


def costly(names, *others):
    """Names for a costly law, those of ALIKE and `others` marked slow."""
    alike = {*ALIKE, *others}
    return [pytest.param(n, marks=pytest.mark.slow) if n in alike else n for n in names]


def subject(name: str, data_dir: str, folder, steps: int = 6, **data) -> Subject:
    """A config for the laws of bigmodel_jax/verifying, with some of config.data changed."""
    config = ALL[name]()
    if data:
        config["data"] = {**config["data"], **data}
    return Subject(config, data_dir, folder, steps)


def assert_same_bits(first: dict, second: dict) -> None:
    assert comparing.bits(first, second) == (0.0, "")


__all__ = [
    "ACTING", "ALL", "CONFIGS", "LANGUAGE", "PARTLY", "STRAINS", "STREAMED", "WITH_SOURCE", "assert_same_bits", "loss_of", "costly", "make_mesh", "relative_distance",
    "run_steps", "saved_arrays", "subject", "train", "trees",
]  # fmt: skip
