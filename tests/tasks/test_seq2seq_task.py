"""The loss of sequence-to-sequence: over real target tokens, packed or not, smoothed in training."""

import jax
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.models import gpt
from bigmodel_jax.models.t5 import VARIANTS, Model
from bigmodel_jax.tasks.seq2seq import Task

VOCABULARY, LENGTH = 17, 6
COUNT = np.array([[6], [3], [0]])
REAL = np.arange(LENGTH) < COUNT


def a_batch():
    rng = np.random.default_rng(0)
    ids = [rng.integers(2, VOCABULARY, REAL.shape).astype(np.int32) * REAL for _ in range(3)]
    order = np.broadcast_to(np.arange(LENGTH, dtype=np.int32), REAL.shape)
    segments = REAL.astype(np.int32)
    batch = dict(
        zip(("source", "tokens", "targets"), (x.astype(np.int32) for x in ids), strict=True)
    )
    batch |= {"source_segments": segments, "segments": segments}
    return {**batch, "source_positions": order, "positions": order, "mask": REAL}


def make(**options):
    task = Task(Model(**{**VARIANTS["tiny"], "vocabulary_size": VOCABULARY}), **options)
    return task, sharding.unbox(task.init(jax.random.key(0), a_batch()))


@pytest.mark.parametrize("chunk", [0, 4])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_mean_over_real_targets_and_smoothed_in_training_alone(smoothing, chunk):
    task, variables = make(label_smoothing=smoothing, chunk=chunk)
    batch = a_batch()
    logits = np.asarray(task.model.apply(variables, *task.inputs(batch)), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nats = -np.take_along_axis(log_p, batch["targets"][..., None], -1)[..., 0]
    for train in (False, True):
        share = smoothing if train else 0.0
        want = ((1 - share) * nats - share * log_p.mean(-1))[REAL]
        value, _ = task.loss(variables, batch, jax.random.key(0), train=train)
        assert float(value.weight) == 9
        assert float(value.total) == pytest.approx(want.sum(), rel=1e-5)
    found = task.predict(variables, batch)["nats"]
    np.testing.assert_allclose(np.asarray(found)[REAL], nats[REAL], rtol=1e-5, atol=1e-6)


def test_a_model_without_an_encoder_and_values_without_a_meaning_are_refused():
    with pytest.raises(UserError, match="no encoder and decoder: take one that has, such as t5"):
        Task(gpt.Model(**{**gpt.VARIANTS["tiny"], "vocabulary_size": VOCABULARY}))
    with pytest.raises(UserError, match="label_smoothing is 1.0"):
        make(label_smoothing=1.0)
    with pytest.raises(UserError, match="chunk is -1"):
        make(chunk=-1)
