"""Sampling, against Hugging Face's processors and against the distribution it should draw from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax.errors import UserError
from bigmodel_jax.generation.sampling import Sampling, adjust, draw

ROWS, VOCABULARY = 3, 50


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(0, 3, (ROWS, VOCABULARY)).astype(np.float32)


@pytest.fixture
def prompts():
    return np.random.default_rng(1).integers(0, VOCABULARY, (ROWS, 7))


@pytest.mark.parametrize(
    "how",
    [
        Sampling(temperature=0.7),
        Sampling(top_k=5),
        Sampling(top_p=0.8),
        Sampling(top_p=1e-6),
        Sampling(min_p=0.1),
        Sampling(repetition_penalty=1.3),
        Sampling(temperature=1.5, top_k=20, top_p=0.9, min_p=0.02, repetition_penalty=1.2),
    ],
    ids=str,
)
def test_what_is_drawn_from_is_what_transformers_draws_from(how, logits, prompts):
    torch = pytest.importorskip("torch")
    process = pytest.importorskip("transformers.generation.logits_process")
    chain = process.LogitsProcessorList()
    if how.repetition_penalty != 1:
        chain.append(process.RepetitionPenaltyLogitsProcessor(how.repetition_penalty))
    if how.temperature != 1:
        chain.append(process.TemperatureLogitsWarper(how.temperature))
    if how.top_k:
        chain.append(process.TopKLogitsWarper(how.top_k))
    if how.top_p < 1:
        chain.append(process.TopPLogitsWarper(how.top_p))
    if how.min_p:
        chain.append(process.MinPLogitsWarper(how.min_p))
    expected = chain(torch.tensor(prompts), torch.tensor(logits)).numpy()
    seen = np.zeros(logits.shape, bool)
    np.put_along_axis(seen, prompts, True, 1)
    found = adjust(jnp.asarray(logits), jnp.asarray(seen), how)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_draws_follow_the_softmax(logits):
    count, how = 20_000, Sampling(temperature=2.0, top_k=4)
    keys = jax.random.split(jax.random.key(0), count)
    wide = jnp.broadcast_to(jnp.asarray(logits[0]), (count, VOCABULARY))
    ids = np.asarray(draw(wide, jnp.zeros(wide.shape, bool), keys, how))
    best = np.argsort(-logits[0])[:4]
    p = np.exp(logits[0, best] / 2)
    shares = [(ids == i).mean() for i in best]
    np.testing.assert_allclose(shares, p / p.sum(), atol=0.015)


def test_a_temperature_of_zero_takes_the_likeliest_also_under_other_limits(logits):
    keys = jax.random.split(jax.random.key(0), ROWS)
    nothing = jnp.zeros(logits.shape, bool)
    for how in (Sampling(temperature=0), Sampling(temperature=0, top_k=2, top_p=0.1, min_p=0.5)):
        np.testing.assert_array_equal(draw(logits, nothing, keys, how), logits.argmax(-1))


def test_a_row_draws_the_same_whoever_stands_beside_it(logits):
    keys = jax.random.split(jax.random.key(3), ROWS)
    nothing, how = jnp.zeros(logits.shape, bool), Sampling()
    together = draw(logits, nothing, keys, how)
    alone = draw(logits[1:2], nothing[1:2], keys[1:2], how)
    assert together[1] == alone[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"min_p": 2.0},
        {"repetition_penalty": 0.0},
    ],
)
def test_values_without_a_meaning_are_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(UserError, match=f"--{name} is"):
        Sampling(**wrong).check()
