"""Tagging: what counts in the loss."""

import jax
import numpy as np
import pytest

from bigmodel_jax import losses, sharding
from bigmodel_jax.models import bert
from bigmodel_jax.tasks.tag import Task

MODEL = {"vocabulary_size": 30, "num_classes": 5, "head": "tag", **bert.VARIANTS["tiny"]}


def make_batch():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 30, (3, 12)).astype(np.int32)
    mask = np.arange(12) < np.array([12, 7, 0])[:, None]
    label = np.where(mask & (rng.random((3, 12)) < 0.6), rng.integers(0, 5, (3, 12)), -1)
    valid = np.array([True, True, False])
    return {"tokens": tokens, "mask": mask, "label": label.astype(np.int32), "valid": valid}


def test_only_the_first_pieces_of_words_count():
    task, batch = Task(bert.Model(**MODEL)), make_batch()
    variables = sharding.unbox(task.init(jax.random.key(0), batch))
    value, aux = task.loss(variables, batch, jax.random.key(1), train=False)
    logits = task.predict(variables, batch)["logits"]
    real = batch["label"] >= 0
    nats = losses.softmax_cross_entropy(logits, np.maximum(batch["label"], 0))
    assert float(value.weight) == real.sum() == float(aux.metrics["accuracy"].weight)
    assert float(value.total) == pytest.approx(float(nats[real].sum()), rel=1e-5)
    elsewhere = {**batch, "tokens": np.where(batch["mask"], batch["tokens"], 7).astype(np.int32)}
    padded, _ = task.loss(variables, elsewhere, jax.random.key(1), train=False)
    assert float(padded.total) == pytest.approx(float(value.total), rel=1e-5)
