"""Writing over a cache, against the same model without one, and against Hugging Face's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bigmodel_jax import sharding
from bigmodel_jax.errors import UserError
from bigmodel_jax.generation.decoder import Decoder
from bigmodel_jax.generation.sampling import Sampling
from bigmodel_jax.models import gpt

VOCABULARY, CONTEXT = 23, 64
PROMPTS = [[3, 1, 4, 1, 5], [9], [2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3]]
GREEDY = Sampling(temperature=0)


def make_model(**fields):
    usual = {"vocabulary_size": VOCABULARY, **gpt.VARIANTS["tiny"], "max_length": CONTEXT}
    usual["tied"] = False  # tied and untrained, a model says the same word again and again
    model = gpt.Model(**{**usual, **fields})
    tokens = jnp.zeros((1, 4), jnp.int32)
    variables = sharding.unbox(jax.jit(model.init)(jax.random.key(0), tokens))
    # Larger than as initialised, so that texts differ.
    return model, jax.tree.map(lambda x: x * 8 if x.ndim > 1 else x, variables)


def make_decoder(model, variables, sampling=GREEDY, devices=1, **options):
    mesh = sharding.make_mesh({"data": devices}, jax.devices()[:devices])
    return Decoder(model, variables, mesh, sampling, **options)


def written(decoder, prompts, count, seed=0):
    texts = [[] for _ in prompts]
    for new in decoder.write(prompts, count, seed):
        texts = [text + row for text, row in zip(texts, new, strict=True)]
    return texts


@functools.cache
def jitted(model):
    return jax.jit(model.apply)


def without_a_cache(model, variables, prompt, count):
    """The likeliest tokens, each from the whole text before it."""
    text, logits_of = list(prompt), jitted(model)
    for _ in range(count):
        padded = np.zeros((1, CONTEXT), np.int32)
        padded[0, : len(text)] = text
        mask = np.arange(CONTEXT)[None] < len(text)
        logits = logits_of(variables, padded, mask)
        text.append(int(logits[0, len(text) - 1].argmax()))
    return text[len(prompt) :]


OPTIONS = {
    "gpt2": {},
    "llama": {"positions": "rope", "norm": "rms", "mlp": "swiglu", "num_groups": 1, "bias": False},
    "window": {"window": 4, "positions": "rope"},
    "scanned": {"scan": True},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_with_a_cache_every_token_is_that_without_one(kind):
    model, variables = make_model(**OPTIONS[kind])
    found = written(make_decoder(model, variables), PROMPTS, 30)
    expected = [without_a_cache(model, variables, prompt, 30) for prompt in PROMPTS]
    assert found == expected
    assert len({x for text in found for x in text}) > 3  # it does not stand still


def test_a_row_is_the_same_alone_and_on_two_devices():
    model, variables = make_model()
    how = Sampling(temperature=0.9, top_k=10, repetition_penalty=1.1)
    together = written(make_decoder(model, variables, how), PROMPTS, 20, seed=5)
    assert written(make_decoder(model, variables, how), PROMPTS[:1], 20, seed=5) == together[:1]
    assert written(make_decoder(model, variables, how, devices=2), PROMPTS, 20, seed=5) == together
    assert written(make_decoder(model, variables, how), PROMPTS, 20, seed=6) != together


def test_a_row_ends_at_an_end_and_the_others_go_on():
    model, variables = make_model()
    free = written(make_decoder(model, variables), PROMPTS, 20)
    end = free[0][6]
    found = written(make_decoder(model, variables, ends=[end]), PROMPTS, 20)
    for text, whole in zip(found, free, strict=True):
        stop = whole.index(end) + 1 if end in whole else len(whole)
        assert text == whole[:stop]


def test_a_text_beyond_the_context_goes_on_from_the_last_half_of_it():
    model, variables = make_model()
    (text,) = written(make_decoder(model, variables), [PROMPTS[0]], 100)
    assert len(text) == 100
    whole = PROMPTS[0] + text
    assert whole[CONTEXT : CONTEXT + 16] == without_a_cache(
        model, variables, whole[CONTEXT // 2 : CONTEXT], 16
    )


def test_a_shape_is_compiled_once(caplog):
    model, variables = make_model()
    decoder = make_decoder(model, variables)
    written(decoder, PROMPTS, 20)
    with jax.log_compiles(), caplog.at_level("WARNING", logger="jax"):
        written(decoder, PROMPTS[::-1], 20, seed=1)
    assert not [r.message for r in caplog.records if "Compiling jit(_" in r.message]


@pytest.mark.parametrize(
    "prompts, message",
    [
        ([[1], []], "Prompt 2 of 2 is empty"),
        ([[1] * 65], "has 65 tokens, and the model's context is 64"),
        ([[1, 99]], "holds the token 99, but the model knows 23"),
    ],
)
def test_a_prompt_that_cannot_be_written_on_is_refused(prompts, message):
    model, variables = make_model()
    with pytest.raises(UserError, match=message):
        written(make_decoder(model, variables), prompts, 5)
