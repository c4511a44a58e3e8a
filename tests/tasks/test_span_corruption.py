"""Span corruption: source and target together are the text; the shares and lengths are T5's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.models.t5 import VARIANTS, Model
from bigmodel_jax.tasks.span_corruption import Task

LENGTH, SIZE, END, SENTINEL = 64, 100, 2, 119


def make(**options):
    model = Model(**{**VARIANTS["tiny"], "vocabulary_size": SENTINEL + 1})
    return Task(model, **{"end_id": END, **options})


def text(seed, count=LENGTH):
    tokens = np.random.default_rng(seed).integers(4, SIZE, LENGTH).astype(np.int32)
    return np.where(np.arange(LENGTH) < count, tokens, 0)


def put_together(source, target):
    """The text, from what is read and what is to be written, in words of lists."""
    assert source[-1] == target[-1] == END
    spans, whole = {}, []
    for token in target[:-1]:
        if token >= SIZE:
            spans[token] = []
            last = token
        else:
            spans[last].append(token)
    for token in source[:-1]:
        whole += spans.pop(token) if token >= SIZE else [token]
    assert not spans  # each is in the source, once
    return whole


@pytest.mark.parametrize("count", [64, 63, 40, 7, 3, 2])
def test_source_and_target_together_are_the_text(count):
    task = make()
    corrupt = jax.jit(task.corrupt)
    noise, spans = task.counts(LENGTH)[count]
    assert noise == max(1, round(0.15 * count)) and spans == max(1, round(noise / 3))
    found = set()
    for seed in range(20):
        tokens = text(seed, count)
        (source, read), (target, written) = corrupt(jax.random.key(seed), tokens, count)
        source, target = (
            np.asarray(x)[: int(n)].tolist() for x, n in ((source, read), (target, written))
        )
        assert put_together(source, target) == tokens[:count].tolist()
        names = [token for token in target if token >= SIZE]
        assert names == [SENTINEL - i for i in range(spans)]
        assert len(target) == noise + spans + 1 and len(source) == count - noise + spans + 1
        found.add(tuple(np.flatnonzero(np.array(source) >= SIZE)))
    assert len(found) > 3 or spans == 1  # which, as in T5, is the end of the text


@pytest.mark.parametrize("count", [0, 1])
def test_of_nothing_or_one_token_nothing_is_learnt(count):
    task, batch = make(), a_batch(np.array([64, count]))
    found = task._corrupted(batch, jax.random.split(jax.random.key(0), 2))
    assert found["mask"][0].any() and not found["mask"][1].any()


def a_batch(counts):
    tokens = np.stack([text(i, count) for i, count in enumerate(counts)])
    segments = (np.arange(LENGTH) < counts[:, None]).astype(np.int32)
    return {"tokens": tokens, "segments": segments, "index": np.arange(len(counts), dtype=np.int32)}


def test_spans_have_t5s_mean_length_and_are_anywhere():
    task = make()
    batch = a_batch(np.full(400, LENGTH))
    found = task._corrupted(batch, jax.random.split(jax.random.key(0), 400))
    # All ways to cut 10 tokens into 3 spans: one of them has 1, 2, 3, ... tokens by these chances.
    target = np.asarray(found["targets"])
    first = (np.cumsum(target >= SIZE, 1) == 1).sum(1) - 1
    chances = np.array([9 - n for n in range(1, 9)]) / 36
    shares = np.bincount(first, minlength=9)[1:9] / 400
    np.testing.assert_allclose(shares, chances, atol=0.08)
    starts = np.asarray(found["source"])[:, 1:50] >= SIZE
    assert starts.mean(0).min() > 0.01


def test_training_draws_by_the_steps_key_and_evaluation_by_the_rows_number():
    task, batch = make(), a_batch(np.full(4, LENGTH))
    variables = sharding.unbox(task.init(jax.random.key(0), batch))
    loss = jax.jit(task.loss, static_argnames="train")
    losses = [
        float(loss(variables, batch, jax.random.key(seed), train=train)[0].total)
        for seed, train in ((1, True), (1, True), (2, True), (1, False), (2, False))
    ]
    assert losses[0] == losses[1] != losses[2] and losses[3] == losses[4] != losses[0]
    turned = {key: value[::-1] for key, value in batch.items()}
    value = loss(variables, turned, jax.random.key(0), train=False)[0]
    assert float(value.total) == pytest.approx(losses[3], rel=1e-5)
    nats = task.predict(variables, batch)["nats"]
    assert nats.shape == (4, 10 + 3 + 1) and jnp.isfinite(nats).all()


class Source:
    length = LENGTH

    def __init__(self, size, targets):
        self.info, self._keys = {"vocabulary_size": size}, {"targets": 0} if targets else {}

    def peek(self):
        return self._keys


@pytest.mark.parametrize(
    "options, source, message",
    [
        ({"end_id": None}, None, "end_id is not set"),
        ({"rate": 1.0}, None, "rate is 1.0"),
        ({"span": 0.5}, None, "span is 0.5"),
        ({}, Source(118, False), "make it 121 or more"),
        ({}, Source(100, True), "shift must be False"),
    ],
)
def test_what_does_not_fit_is_told(options, source, message):
    with pytest.raises(UserError, match=message):
        make(**options).check(source)
